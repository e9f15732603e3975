rnnlab table runs/load runs/long
rnnlab compare runs/load runs/long
