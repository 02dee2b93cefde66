"""What --help prints, in plain words."""

COMMANDS = {
    "sample": "sample the inverse set of a neuron: images whose activation lies in a range",
    "probe": "find out which activations a neuron reaches, and which ranges make sense",
    "compare": "put runs side by side: how varied, how well in range, at what cost",
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

  invset sample                                     a good default: goldfish, 50 to 60
  invset sample neuron=fc8:volcano 'range=[30,35]'  a unit by its label; by number, from 1: fc8:981
  invset sample 'neuron=[conv5:97,fc8:goldfish]' 'range=[[2,3.5],[40,50]]'   an intersection
  invset sample -m 'range=[30,40],[40,50]'          a sweep: one run for each value
  invset sample resume=outputs/DATE/TIME            go on after an interruption; with n=700: extend

settings (defaults in brackets):
  neuron       layer:unit, conv5:97:8:8 (row and column, from 0), conv5:97:max, or a list [fc8:goldfish]
  range        [z1,z2], or a list of ranges, one for each neuron [[50,60]]; network=efficientnet_lite0 [[14,16]]
  n            how many samples [500]
  method       paper: seeds, then fast sampling; full: eq. 16, all n optimised together [paper]
               to compare with: ppgn, dgn_am, mfv, penalty; with generator=pixels: pixel_ascent, search (folder=DIR);
               their own settings are method.options.NAME=VALUE, and --cfg job shows them
  constraint   range: z1 <= f <= z2; lower: f >= z1, the paper's equations to the letter [range]
  starts       where chains start: normal, codes, random_images, common; auto: normal, or else random_images [auto]
  folder       of images to start from, with starts=codes
  objective.between       distances between encodings, images, codes, none [encodings]
  objective.scale    auto, or a number; 1 is the paper as printed [auto]
  schedule.K         chains [10]; also schedule.mu, .alpha, .inner_steps, .outer_iterations, .stop
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
  device, threads, batch_size, seed   [auto, as torch has it, all chains, 0]
  precision    of the networks: float32, bfloat16, float16; also channels_last=true [float32]
  +experiment=linear            a config that pins a whole run

of Hydra:
  -m           sweep                       --cfg job [--resolve]   print the config and stop
  --info       how the config was made     --config-dir DIR        a folder of your own configs
  hydra.run.dir=DIR                        where to write [outputs/DATE/TIME]

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
