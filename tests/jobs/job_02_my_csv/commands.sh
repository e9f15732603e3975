rnnlab run --config=forecasting --config.task.path=sales.csv --config.cell.name=gru --sweep.init.w_h=orthogonal,xavier_uniform,he_normal --sweep.seed=0,1 --workdir=mine
