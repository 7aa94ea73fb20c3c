"""A Modelfile for ollama: which files, and what its template language needs to be told.

ollama does not read Jinja. The two forms of chat that most code models have are written in its own
language; another is left out, and told.
"""

from __future__ import annotations

from gardenerd.export.vocabulary import Vocabulary

_CHATML = """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
_LLAMA3 = """\
{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>
{{- end }}<|start_header_id|>assistant<|end_header_id|>

"""
_FILL = "{{- if .Suffix }}<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}<|fim_middle|>"
_ENDS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|fim_pad|>", "<|file_sep|>")


def modelfile(
    vocabulary: Vocabulary, *, base: str, adapter: str | None, window: int
) -> tuple[str, list[str]]:
    """The text of a Modelfile, and what the user must know of it.

    Args:
        base: the file of the base beside it; ``adapter`` that of the adapter.
        window: tokens that the base can attend to.
    """
    notes: list[str] = []
    template = ""
    if "<|im_start|>" in vocabulary.template:
        template = _CHATML
    elif "<|start_header_id|>" in vocabulary.template:
        template = _LLAMA3
    elif vocabulary.template:
        notes.append(
            "its chat template is not one that is known in ollama's own language: write TEMPLATE "
            "into the Modelfile, or ask it to complete only"
        )
    if vocabulary.fill and "<|fim_prefix|>" in vocabulary.tokens:
        template = f"{_FILL}\n{{{{- else }}}}{template or '{{ .Prompt }}'}{{{{- end }}}}"
    lines = [f"FROM ./{base}"]
    if adapter is not None:
        lines.append(f"ADAPTER ./{adapter}")
    lines.append(f'TEMPLATE """{template or "{{ .Prompt }}"}"""')
    lines += [f'PARAMETER stop "{end}"' for end in _ENDS if end in vocabulary.tokens]
    lines.append(f"PARAMETER num_ctx {min(window, 4_096)}")
    return "\n".join(lines) + "\n", notes
