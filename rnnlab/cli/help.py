"""What `rnnlab --help` and `rnnlab COMMAND --help` print."""

HELP = """\
rnnlab: a laboratory for recurrent networks in JAX

  rnnlab list                           the experiments there are
  rnnlab run --config=FILE [options]    run one, or go on with it, and print its claims
  rnnlab predict DIR --text=TEXT        what a trained member of a run says of it
  rnnlab keywords FILE...               the words that tell texts apart, by TF-IDF
  rnnlab spell FILE --text=TEXT         misspelled words repaired, by FastText
  rnnlab report DIR                     write the report of a finished run again
  rnnlab compare DIR DIR...             several runs on one page
  rnnlab tensorboard DIR                what a run has logged so far, for TensorBoard
  rnnlab reproduce                      every experiment at its small default, and one page

  rnnlab COMMAND --help                 the options of a command
  rnnlab --version
"""

RUN_HELP = """\
rnnlab run --config=FILE[:ARG] [options]

Run every member of an experiment's sweep and write a run directory: figures, claims and
report.html. The same command goes on with a run that was interrupted, and prints the claims of
one that is finished.

  --config=experiments/x.py       the experiment; a bare name will do; x.py:full asks for the
                                  paper's scale
  --config.KEY=VALUE              another value in its config: --config.cell.hidden_size=64,
                                  --config.init.w_h="orthogonal(gain=0.9)"
  --sweep.KEY=V1,V2,...           other values on an axis of its sweep, or one more axis
  --workdir=DIR                   the run directory [runs/<experiment>-<hash of the config>]
  --dry_run                       print members, groups and minutes; run and write nothing
  --strict                        exit status 1 when a claim's verdict is not the expected one

Beyond one machine, for experiments that train, with the same results:

  --launcher=ray                  each group of members a job on an existing Ray cluster; this
                                  process keeps the run directory
  --ray_address=HOST:PORT         the cluster's head [auto: $RAY_ADDRESS, or the one running here]
  --ray_cpus=N --ray_gpus=N       what a job takes [the cluster's CPUs dealt out to the groups; 0]
  --coordinator=HOST:PORT         one run in several processes, each given the same command: where
                                  process 0 listens, which alone writes the run directory; auto:
                                  JAX finds out (Slurm, Open MPI, TPU)
  --num_processes=N --process_id=I  how many they are, and which this is, from 0 on

With --config=FILE, --help lists the keys of that config and the axes of its sweep.
"""

PREDICT_HELP = """\
rnnlab predict DIR --text=TEXT | --file=FILE [options]

Ask a trained member of a run: the entities in a text, whether a review is good, how well a text is
foretold, or how it goes on; of a series of numbers, the next one or its class. A line a text; of a
.ts file, a line a series.

  --text=TEXT                     the text
  --file=FILE                     a text on each line of a UTF-8 file
  --member=N                      of the run [the best by its task's score]
  --stream                        one token after the other, a line each, as they are read: only for
                                  models that read one way
  --steps=N                       how many tokens a language model goes on with
  --temperature=T --seed=N        of what it draws; 0: always the most probable [1.0, 0]
  --top_k=K                       draw among the K most probable only; 0: among all [0]
"""

KEYWORDS_HELP = """\
rnnlab keywords FILE... [options]

The heaviest words of each file by TF-IDF, against the other files; of one file alone, of each of
its lines against the other lines. A line each: the file or the line's number, then the words.

  --top=N                         words of each [10]
  --tokenizer=NAME                words, whitespace, characters or chinese [words]
  --idf=NAME                      notes (three texts or more), smooth, plain or none [notes]
"""

SPELL_HELP = """\
rnnlab spell FILE --text=TEXT | --file=TEXTS [options]

Repair misspelled words: those that are not in FILE's vocabulary, by the known word with the nearest
FastText vectors and the fewest keystrokes away.

  FILE                            vectors with sub-words, saved by rnnlab (.safetensors) or fastText
                                  (.bin); or a UTF-8 text to learn them from
  --text=TEXT                     the text
  --file=TEXTS                    a text on each line of a UTF-8 file
  --furthest=N                    keystrokes; words further off stay as they are [2]
  --suggest=N                     print N suggestions for each unknown word instead [0]
"""

LIST_HELP = """\
rnnlab list

The experiments in ./experiments and those that come with rnnlab, with a line on each.
"""

REPORT_HELP = """\
rnnlab report DIR

Write figures, claims and report.html of a finished run again, from its saved results.
"""

COMPARE_HELP = """\
rnnlab compare DIR DIR... [--out=compare.html]

Lay several runs side by side on one self-contained page: where their configs differ, claims,
learning curves over each other, figures.
"""

TENSORBOARD_HELP = """\
rnnlab tensorboard DIR [--out=FOLDER]

Write event files of all that a run has logged, a TensorBoard run for each member; also while it is
at work. Needs rnnlab[tensorboard].

  --out=FOLDER                    [DIR/tensorboard]
"""

REPRODUCE_HELP = """\
rnnlab reproduce [options]

Run the experiments that come with rnnlab at their small defaults, but for those that measure speed
and those that would take the set past half an hour on 2 cores, and write one page: each published
claim, what was expected, what was measured, whether it holds, and the minutes. The same command
goes on with one that was interrupted.

  --all                           the long ones too (word vectors, BERT, ...)
  --only=NAME,NAME,...            these experiments only
  --workdir=DIR                   for the runs and reproduce.html [runs/reproduce]
  --dry_run                       print experiments, members and minutes; run and write nothing
  --strict                        exit status 1 when a claim's verdict is not the expected one, or
                                  an experiment cannot run
"""
