rnnlab tensorboard runs/load
