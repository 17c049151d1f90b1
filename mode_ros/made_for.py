"""Whether a checkpoint was made for a robot, which is seen from its contract alone: no torch, no weights."""

from __future__ import annotations

from pathlib import Path

from mode_ros.control.contract import Contract, differences, parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.folder import CONTRACT, read_text, require_files


def require_made_for(folder: str, contract: Contract) -> None:
    """Raises UserError unless `folder` is a checkpoint that was made for exactly this contract."""
    if not folder:
        raise UserError(
            'No checkpoint is given: set `checkpoint` to a checkpoint folder (`mode_ros init` makes an untrained one).'
        )
    require_files(Path(folder))
    theirs = parse_contract(read_text(Path(folder) / CONTRACT), f'{folder}/contract.yaml')
    found = differences(contract, theirs, running=True)
    if found:
        listed = '\n'.join(f'  {line}' for line in found)
        raise UserError(
            f'The checkpoint {folder} was made for another robot contract. Here, and in the checkpoint:\n'
            f'{listed}\nUse the contract it was trained with, or train for this one.'
        )
