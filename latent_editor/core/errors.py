"""Everything that can go wrong, as one tree.

::

    LatentEditorError
    ├── BadInput            what the user gave cannot be used (shell: exit code 2)
    │   ├── BadImage        not an image, truncated, too large, …
    │   ├── NoFaceFound     an image without a face in it
    │   ├── BadPrompt       an empty or over-long text prompt
    │   ├── BadLatent       a damaged latent file, or one of another model
    │   ├── BadModel        a model file that cannot be read
    │   ├── UnknownModel    a model name that names nothing
    │   ├── UnknownDirection  a slider name that the model does not have
    │   ├── BadDirection    a file of directions that cannot be read, or belongs to another model
    │   ├── BadRecipe       a recipe that cannot be read or replayed here, or of a newer version
    │   ├── BadMedia        a clip or track that cannot be read, or is too long or too large
    │   ├── LicenseNotAccepted  a download whose license was not accepted
    │   ├── BadValue        a number or an option outside its range
    │   └── SessionExpired  the page was open for too long without use
    ├── MissingPart         the model has no encoder, CLIP, … for this operation
    ├── FetchFailed         a file could not be downloaded whole and unchanged
    ├── Superseded          the visitor moved on while a result was computed (`sessions.basis`)
    └── Stopped             the user stopped something that has no half result; what is finished is kept

Every message says what came, what was expected, and what to do next.
"""


class LatentEditorError(Exception):
    """Base of every error that this package raises on purpose."""


class BadInput(LatentEditorError, ValueError):
    """What the user gave cannot be used."""


class BadImage(BadInput):
    """The file is not an image, or not one that can be opened safely."""


class NoFaceFound(BadInput):
    """The image was read, and no face was found in it."""


class BadPrompt(BadInput):
    """The text prompt is empty, over-long, or not text."""


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
    """A number or an option is outside of what is allowed."""


class SessionExpired(BadInput):
    """The visitor's session is not kept any more."""


class MissingPart(LatentEditorError):
    """The operation needs a part (encoder, CLIP, …) that this model does not come with."""


class FetchFailed(LatentEditorError):
    """The file could not be downloaded whole, or it is not the one that was expected."""


class Stopped(LatentEditorError):
    """The user, or a caller's ``on_step``, stopped something that has no half result. What is finished is kept."""

    def __init__(self, message: str = "Stopped. What was finished is kept; the next time goes on from there.") -> None:
        super().__init__(message)
