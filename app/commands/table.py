"""The table of commands: what the command line knows beside the workspace itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """What the command does, for the help; and the module whose `run` takes the words behind its name and
    returns the exit status. Without a module it is the engine's, which reads the whole line itself."""

    summary: str
    module: str = ""


COMMANDS: dict[str, Command] = {
    "practice": Command(
        "a small project to mend, with a model that is part of Tidegate", "app.commands.practice"
    ),
    "run": Command("let the agent do one thing, without a screen", "app.commands.run"),
    "acp": Command("be the agent of an editor (Agent Client Protocol)", "app.commands.acp"),
    "warm": Command("have a part of the project read beforehand, for all its sessions", "app.commands.warm"),
    "review": Command("review a commit, a range, the work tree, the index or a patch", "app.commands.review"),
    "model": Command("list and fetch models", "app.commands.model"),
    "doctor": Command(
        "say what is found on this machine, and what is missing (doctor keys: what keys send and do)",
        "app.commands.doctor",
    ),
    "completions": Command(
        "print what completes the command line in bash, zsh or fish", "app.commands.reference.completions"
    ),
    "keys": Command("print every action with its keys, your own among them", "app.commands.reference.keys"),
    "serve": Command("run the engine by itself, for other tools (OpenAI Chat Completions)"),
    "convert": Command("write a checkpoint in the engine's own layout, quantized by a recipe"),
    "train-mtp": Command("fit a drafting layer to a checkpoint, over your own code"),
    "tune": Command(
        "train an adapter on your machine, of code, chats or your review (tune data: the review's examples)",
        "app.commands.tune",
    ),
    "train-dflash": Command("train a drafter that proposes whole blocks, over your own code or chats"),
    "info": Command("sizes, memory and the roof of a checkpoint"),
    "bench": Command(
        "measure speed on this machine (bench review: a large diff; bench ui: the workspace; "
        "bench edits: where edits land; bench practice: practice tasks)",
        "app.commands.bench",
    ),
    "cache": Command("list, verify or clear the snapshots kept on disk"),
}
