"""All exceptions of the package, as one tree.

::

    LatentEditorError
    ├── BadInput            unusable input (shell: exit code 2)
    │   ├── BadImage        not an image, truncated, too large, …
    │   ├── NoFaceFound     an image without a face in it
    │   ├── BadPrompt       an empty or over-long text prompt
    │   ├── BadLatent       a damaged latent file, or a latent of another model
    │   ├── BadModel        a model file that cannot be read
    │   ├── UnknownModel    no model of this name
    │   ├── UnknownDirection  a slider name that the model does not have
    │   ├── BadDirection    a file of directions that cannot be read, or belongs to another model
    │   ├── BadRecipe       a recipe that cannot be read or applied here, or of a newer version
    │   ├── BadMedia        a clip or track that cannot be read, or is too long or too large
    │   ├── LicenseNotAccepted  a download whose license was not accepted
    │   ├── BadValue        a number or option out of range
    │   └── SessionExpired  the page was idle for too long
    ├── MissingPart         the model lacks an encoder, CLIP, … for this operation
    ├── FetchFailed         a file could not be downloaded completely and unchanged
    ├── Superseded          the visitor moved on while a result was computed (`sessions.basis`)
    └── Stopped             the user stopped an operation without partial results; finished work is kept

Every message says what was given, what was expected, and what to do next.
"""


class LatentEditorError(Exception):
    """Base class of all errors that this package raises on purpose."""


class BadInput(LatentEditorError, ValueError):
    """The input cannot be used."""


class BadImage(BadInput):
    """The file is not an image, or not one that can be opened safely."""


class NoFaceFound(BadInput):
    """No face was found in the image."""


class BadPrompt(BadInput):
    """The text prompt is empty, too long, or not text."""


class BadLatent(BadInput):
    """The latent is damaged, not finite, or belongs to another model."""


class BadModel(BadInput):
    """The model file is damaged or of a kind that is not supported."""


class UnknownModel(BadInput):
    """No model of this name or at this path."""


class UnknownDirection(BadInput):
    """The model has no direction of this name."""


class BadDirection(BadInput):
    """The file of directions cannot be read, or its directions belong to another kind of model."""


class BadRecipe(BadInput):
    """The recipe is damaged, of a newer version, or holds edits that cannot be made with this model."""


class BadMedia(BadInput):
    """The clip or track cannot be read, or is longer or larger than what is read."""


class LicenseNotAccepted(BadInput):
    """The license of the file to download was not accepted yet."""


class BadValue(BadInput):
    """A number or an option is out of range."""


class SessionExpired(BadInput):
    """The session has expired."""


class MissingPart(LatentEditorError):
    """The operation needs a part (encoder, CLIP, …) that this model lacks."""


class FetchFailed(LatentEditorError):
    """The download is incomplete, or not the expected file."""


class Stopped(LatentEditorError):
    """The user, or a caller's ``on_step``, stopped an operation without partial results. Finished work is kept."""

    def __init__(self, message: str = "Stopped. Finished work is kept; the next run continues from there.") -> None:
        super().__init__(message)
