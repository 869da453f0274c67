"""Write the golden help texts anew: python -m tests.flows.golden"""

from pathlib import Path

from flows.cli.reference import commands, help_of

for name, command in commands():
    Path(__file__).with_name(f"{name.replace(' ', '-')}.txt").write_text(help_of(name, command) + "\n")
