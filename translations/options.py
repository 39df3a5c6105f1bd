"""What may be asked of a run of translations."""

from typing import Self

from django.core.exceptions import ValidationError
from pydantic import Field, field_validator, model_validator

from batches import config
from batches.workloads import RunOptions
from translations.languages import known_tags
from translations.registry import all_registered


class TranslationOptions(RunOptions):
    languages: list[str] = Field(
        default_factory=lambda: config.get("TRANSLATION_LANGUAGES"),
        description="target language, a BCP 47 tag",
        json_schema_extra={"flag": "language"},
    )
    content: list[str] = Field(
        default_factory=list,
        description="model to translate, such as translations_lessons.lesson",
    )
    fields: list[str] = Field(
        default_factory=list,
        description="field to translate; default all registered ones",
        json_schema_extra={"flag": "field"},
    )

    keys: list[str] = Field(
        default_factory=list,
        description="key of a row of the one content model named; default all rows",
        json_schema_extra={"flag": "key"},
    )
    redo: bool = Field(
        default=False, description="translate anew what is current already, too"
    )

    @model_validator(mode="after")
    def _keys_are_of_one_model(self) -> Self:
        if self.keys and len(self.content) != 1:
            raise ValueError("keys are of one model: name it as the only content.")
        if self.keys:
            pk = all_registered()[self.content[0]].model._meta.pk
            for key in self.keys:
                try:
                    pk.to_python(key)
                except ValidationError as err:
                    raise ValueError(
                        f"{key!r} is no key of {self.content[0]}."
                    ) from err
        return self

    @field_validator("languages")
    @classmethod
    def _languages_are_known(cls, tags: list[str]) -> list[str]:
        if not tags:
            raise ValueError("name at least one language, such as en or ar.")
        return known_tags(tags, such_as="en, ar, pt-BR or zh-Hant")

    @field_validator("content")
    @classmethod
    def _content_is_registered(cls, labels: list[str]) -> list[str]:
        known = all_registered()
        for label in labels:
            if label.lower() not in known:
                raise ValueError(
                    f"no model {label!r} is registered for translation; "
                    f"there are {', '.join(known) or 'none'}."
                )
        return [label.lower() for label in labels]

    @field_validator("fields")
    @classmethod
    def _fields_are_registered(cls, names: list[str]) -> list[str]:
        known = {name for entry in all_registered().values() for name in entry.fields}
        for name in names:
            if name not in known:
                raise ValueError(
                    f"no registered model has a translated field {name!r}; "
                    f"there are {', '.join(sorted(known)) or 'none'}."
                )
        return names
