rnnlab run --config=adding_problem \
  --sweep.training.optimizer='adafactor,lion(b1=0.95),muon' \
  --sweep.training.schedule='constant,exponential_decay(decay_rate=0.1)'
