"""What was asked of this call of the command as a whole."""


class Settings:
    """Options that stand before the name of a command."""

    quiet = False


SETTINGS = Settings()
