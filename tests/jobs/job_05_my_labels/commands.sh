rnnlab run --config=sentiment --config.task.path=reviews.tsv --workdir=mine
