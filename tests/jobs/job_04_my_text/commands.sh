rnnlab run --config=char_lm --config.task.path=story.txt --workdir=mine
rnnlab predict mine --text="The " --steps=80
