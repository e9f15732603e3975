rnnlab run --config=mine.py --workdir=mine
rnnlab export mine --to=torch --out=for_torch
