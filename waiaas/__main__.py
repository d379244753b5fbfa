"""`python -m waiaas`: the same command line."""

from waiaas.cli import main

if __name__ == "__main__":
    main()
