"""`python -m rsfiqa` is the `rsfiqa` command."""

from rsfiqa.cli import main

if __name__ == "__main__":
    main()
