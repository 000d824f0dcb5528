"""The commands of ``rxsdk``: one file a group, each with a `typer.Typer` named ``commands`` for `rxsdk.cli.app`."""
