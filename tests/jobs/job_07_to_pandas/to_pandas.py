import rnnlab

frame = rnnlab.load_run("runs/load").to_frame()
