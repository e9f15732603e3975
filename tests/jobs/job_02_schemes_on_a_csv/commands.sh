rnnlab run --config=forecasting --config.task.path=load.csv --config.task.column=load \
  --config.cell.name=gru --sweep.init.w_h=orthogonal,xavier_uniform,he_normal --sweep.seed=0,1 \
  --sweep.task.horizon=1 --workdir=runs/load
