"""The options that say what an adapter is like, shared by `tune` and `tune fit`."""

import argparse

from mlx_model.commands.shared.sizes import count
from mlx_model.errors import RequestError
from mlx_model.tune.adapters.targets import USUAL, Kind, Shape, Target


def add_adapter(parser: argparse.ArgumentParser) -> None:
    """--kind, --rank, --scale, --targets, --layers."""
    parser.add_argument(
        "--kind",
        choices=[str(kind) for kind in Kind],
        default=str(Kind.LORA),
        help="DoRA learns the length of each row apart from its direction, at up to a third more time a step "
        "(default: lora)",
    )
    parser.add_argument(
        "--rank",
        type=count,
        default=16,
        metavar="N",
        help="how much an adapter can hold; its file and its optimizer grow with it (default 16: of "
        "Qwen3-Coder-Next 100 MB in memory as a file, five times that while it is trained)",
    )
    parser.add_argument(
        "--scale", type=float, default=2.0, metavar="X", help="what its product is multiplied by (default 2)"
    )
    parser.add_argument(
        "--targets",
        default=",".join(USUAL),
        metavar="LIST",
        help=f"what is adapted, of {', '.join(Target)} (default: {','.join(USUAL)}, through which every token "
        "passes; experts make the adapter many times as large, for each has its own)",
    )
    parser.add_argument(
        "--layers",
        type=count,
        metavar="N",
        help="adapt the last N layers only: memory and time of the backward pass fall with them (default: all)",
    )


def read_adapter_shape(arguments: argparse.Namespace) -> Shape:
    """The shape that those options give. Raises RequestError."""
    names = [name.strip() for name in arguments.targets.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Target)]
    if unknown or not names:
        raise RequestError(
            f"--targets is {arguments.targets!r}; it must be some of {', '.join(Target)}, with commas between."
        )
    if not 0 < arguments.scale <= 1000:
        raise RequestError(f"--scale is {arguments.scale:g}; it must be above 0 and at most 1000.")
    targets = tuple(target for target in Target if target in names)
    return Shape(Kind(arguments.kind), arguments.rank, arguments.scale, targets, arguments.layers)
