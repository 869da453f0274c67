"""`python -m flows.cli` is `gramophone`."""

from flows.cli import main

if __name__ == "__main__":
    main()
