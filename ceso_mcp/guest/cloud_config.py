"""A `#cloud-config` of the caller's own, read as cloud-init reads it: YAML 1.1, a mapping.

The only place that reads YAML.
"""

from __future__ import annotations

from typing import Any

import yaml


class KeyGivenTwice(ValueError):
    """A mapping names a key more than once."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which is cloud-init's, but a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or not isinstance(key_node, yaml.ScalarNode):
                continue
            key = (key_node.tag, key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise KeyGivenTwice(f"line {line}: a key is given twice; cloud-init would drop the first")
            seen.add(key)
        return super().construct_mapping(node, deep)


def cloud_config_mapping(text: str) -> dict[Any, Any]:
    """What a `#cloud-config` says; `ValueError` names a line and repeats nothing of the text."""
    try:
        # A loader made safe by its base class.
        found = yaml.load(text, _Loader)
    except KeyGivenTwice:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise ValueError(f"{where}: this is not YAML") from None
    except (yaml.YAMLError, RecursionError):
        raise ValueError("this is not YAML that can be read") from None
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a value or a key in it is none that YAML can have") from None
    if not isinstance(found, dict):
        raise ValueError("a #cloud-config is a mapping of module names to what they are told")
    if any(not isinstance(key, str) for key in found):
        raise ValueError("the keys of a #cloud-config are words")
    return found
