"""`python -m invset`, as `torchrun -m invset` needs it."""

from invset.cli.main import main

if __name__ == "__main__":
    main()
