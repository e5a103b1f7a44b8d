"""The doors to the Hugging Face hub: `save_pretrained`, `push_to_hub` and the model card.

They are those of `huggingface_hub.ModelHubMixin`, with its arguments, so that an assessor is saved
and shared as any model of the hub is. What is saved is the scorer, in safetensors and JSON: the
backbones are those of the package, named in `config.json`, and the reader and segmenter are chosen
anew by whoever loads it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard, ModelHubMixin

from rsfiqa.assets import is_offline
from rsfiqa.assets.notices import redacted
from rsfiqa.assets.pretrained import first_line
from rsfiqa.errors import AssetError, ConfigError
from rsfiqa.hub_card import hub_card
from rsfiqa.scoring.checkpoint import Checkpoint, save_checkpoint

if TYPE_CHECKING:
    from rsfiqa.hub_card import Metadata


class HubModel(ModelHubMixin):
    """What a class with a `checkpoint` gets from the hub.

    Attributes:
        checkpoint: the scorer and what belongs to it.
    """

    checkpoint: Checkpoint

    # The mixin would keep a copy of what the class was made with; `config.json` says it better.
    _hub_mixin_config = {}  # noqa: RUF012

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        config: object = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: Metadata | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Save the scorer to a folder: `config.json`, `model.safetensors` and its card, `README.md`.

        `from_pretrained` reads it back, here or from the hub; its scores differ from those before
        by less than 0.1, since weights are kept in half precision, and not at all for a scorer
        that was loaded.

        Args:
            save_directory: made where it is missing; a scorer in it is replaced in one step.
            config: not used: what belongs to a scorer is in its own `config.json`.
            repo_id: where to push; by default the folder's name.
            push_to_hub: push it after saving.
            model_card_kwargs: metadata of the card, see `rsfiqa.hub_card.hub_card`; most of all
                `license`, which nobody but you can know for a scorer of your own.
            push_to_hub_kwargs: passed to `push_to_hub`.

        Returns:
            the URL of the commit where it was pushed, else None.

        Raises:
            AssetError: the hub cannot be reached or refuses.
            ConfigError: the folder cannot be written, or the card's metadata is not accepted.
        """
        folder = Path(save_directory)
        card = str(self.generate_model_card(**(model_card_kwargs or {})))
        save_checkpoint(replace(self.checkpoint, card=card), folder)
        if not push_to_hub:
            return None
        return self.push_to_hub(
            repo_id or folder.resolve().name,
            model_card_kwargs=model_card_kwargs,
            **push_to_hub_kwargs,
        )

    def push_to_hub(self, repo_id: str, **settings: Any) -> str:
        """Upload the scorer to the hub, in one commit; the repository is made where it is missing.

        Args:
            repo_id: `org/name`.
            settings: as `huggingface_hub.ModelHubMixin.push_to_hub` takes them: `commit_message`,
                `private`, `token`, `branch`, `create_pr`, `allow_patterns`, `ignore_patterns`,
                `delete_patterns`, `model_card_kwargs`.

        Returns:
            the URL of the commit.

        Raises:
            AssetError: offline mode is on, the hub cannot be reached, or it refuses.
            ConfigError: the name is no hub id, or the card's metadata is not accepted.
        """
        from huggingface_hub.errors import HFValidationError

        if is_offline():
            raise AssetError(
                f"{repo_id} was not pushed: offline mode is on (RSFIQA_OFFLINE); "
                "switch it off, or use save_pretrained and upload the folder later."
            )
        try:
            return str(super().push_to_hub(repo_id, **settings))
        except HFValidationError as error:
            raise ConfigError(f"{repo_id!r} is no hub id: {first_line(error)}") from error
        except (TypeError, ConfigError):
            raise  # an argument that there is not, or one that is not accepted
        except Exception as error:  # the hub's network errors change class from release to release
            raise AssetError(
                f"{repo_id} could not be pushed to the hub ({redacted(first_line(error))}); check the "
                "network, the name, and that `hf auth whoami` may write there."
            ) from error

    def generate_model_card(self, *_: Any, **metadata: Any) -> ModelCard:
        """The scorer's card with metadata for the hub; see `rsfiqa.hub_card.hub_card`."""
        return ModelCard(hub_card(self.checkpoint, metadata))
