rnnlab run --config=forecasting --config.task.path=sales.csv --sweep.cell.name=gru --sweep.init.w_h=orthogonal,xavier_uniform,he_normal --workdir=mine
