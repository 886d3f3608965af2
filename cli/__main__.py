"""``python -m cli``, where no console script is installed."""

from cli.app import main

if __name__ == "__main__":
    main()
