"""Signing keys of people, and the check of a candidate's folder without any network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.edge import show_folding
from workbench.errors import WorkbenchError

keys = typer.Typer(no_args_is_help=True, help="Signing keys of people, on this machine, outside the project.")


@keys.command(name="new")
def new_key(
    name: Annotated[str, typer.Argument(help="Who signs with it: alice.")],
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Lock the key with words.")] = False,
) -> None:
    """Make a key, and print the line for params/approvers.yaml."""
    from workbench.params import Paths
    from workbench.registry.packs.keys import new_key as make

    words = typer.prompt("passphrase", hide_input=True, confirmation_prompt=True) if passphrase else ""
    made = make(name, Paths(), words)
    print(f"private key  {made.file}  (keep it to yourself; there is no copy)")
    print(f"fingerprint  {made.fingerprint}")
    print("\nUnder 'approvers:' in params/approvers.yaml, in a commit that another person reads:")
    print(f'  {name}: {{key: "{made.public}"}}')


@keys.command(name="list")
def list_keys() -> None:
    """List the keys on this machine, and what each may approve."""
    from workbench.params import Paths
    from workbench.registry.packs.approvers import FILE, Approvers
    from workbench.registry.packs.keys import keys_folder, list_keys, needs_passphrase

    paths = Paths()
    names, approvers = list_keys(paths), Approvers.read(paths.params / FILE, paths)
    if not names:
        print(f"no keys in {keys_folder(paths)}; make one: workbench keys new NAME")
        return
    rows = []
    for name in names:
        known = approvers.known.get(name)
        may = f"{', '.join(known.may)}{f' until {known.until}' if known.until else ''}" if known else "not on the list"
        rows.append([name, known.fingerprint if known else "", "yes" if needs_passphrase(name, paths) else "no", may])
    show_folding(f"Keys in {keys_folder(paths)}", ["name", "listed key", "passphrase", "may approve"], rows)


def verify(
    folder: Annotated[Path, typer.Argument(help="A candidate's folder: workbench pack path STRATEGY.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Only what is wrong.")] = False,
) -> None:
    """Check every file of a candidate without any network: present, matching, signed."""
    from workbench.clock import kind_of_time, read_clock
    from workbench.params import Paths, load_settings
    from workbench.registry.packs.approvers import FILE, Approvers
    from workbench.registry.packs.candidate import APPROVALS, verify_folder

    paths = Paths()
    now = read_clock(load_settings(paths).market, paths).now()
    found = verify_folder(folder, Approvers.read(paths.params / FILE, paths), now)
    rows = [
        [file.path, "yes" if file.present else "✗ no", "yes" if file.matching else "✗ no",
         ", ".join(file.signed) or "-", file.wrong]
        for file in found.files
        if file.wrong or not quiet
    ]  # fmt: skip
    if rows:
        show_folding(
            f"{found.pack.shown} · {found.pack.market} market · {kind_of_time(found.pack.simulated)} time",
            ["file", "present", "matching", "signed", ""],
            rows,
        )
    for line in found.approvals:
        print(line)
    print(f"pack {found.pack.digest}")
    wrong = [file for file in found.files if file.wrong]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        again = "take it away and approve again" if wrong[0].path.startswith(APPROVALS) else "make the evidence again"
        raise WorkbenchError(f"{folder}: void: {wrong[0].path} {wrong[0].wrong}{more}; {again}")
    signed = "signed" if found.signed else "not signed by anyone on the list"
    refused = f"; {found.refused} that do not count, see above" if found.refused else ""
    print(f"whole: {len(found.files)} files present and matching; {signed}{refused}")
