"""Completion scripts for shells: static text, one writer for each shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from alcs_onnx.cli.completion_words import Command, Kind, Program, Word


def bash_script(program: Program) -> str:
    """A script for bash 3.2 or newer, without the bash-completion package."""
    lines = [
        f"# bash completion of {program.name}",
        "_alcs_onnx() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" command="" options="" single="" many=""',
        '    local active="" position=0 kind="" words="" i word',
        '    [[ $cur == "=" ]] && cur=""',
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        '        [[ ${COMP_WORDS[i]} == -* ]] || { command="${COMP_WORDS[i]}"; break; }',
        "    done",
        '    case "$command" in',
        *_indented(_bash_command("''", program.options, ()), 4),
    ]
    for command in program.commands:
        lines += _indented(_bash_command(command.name, command.options, command.arguments), 4)
    names = " ".join(command.name for command in program.commands)
    return "\n".join(
        [
            *lines,
            "    *) return ;;",
            "    esac",
            *_indented(_BASH_SCAN.splitlines(), 4),
            '    case "$command:$active:$position" in',
            f'    "::"*) kind=choice words="{names}" ;;',
            *_indented(_bash_values(program), 4),
            "    esac",
            *_indented(_BASH_REPLY.splitlines(), 4),
            "}",
            f"complete -F _alcs_onnx {program.name}",
            "",
        ]
    )


#: Finds the option whose value is at the cursor, and the number of the argument otherwise.
_BASH_SCAN = """\
for ((i++; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case "$word" in
    =) continue ;;
    :) ((i++)); continue ;; # bash splits words at colons
    -*) active=""; [[ " $single $many " == *" $word "* ]] && active="$word" ;;
    *) if [[ -z $active ]]; then ((position++))
       elif [[ " $single " == *" $active "* ]]; then active=""; fi ;;
    esac
done
[[ $cur == -* ]] && active="-"
"""

_BASH_REPLY = """\
COMPREPLY=()
case "$active:$kind" in
-:*) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
*:choice) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
*:file | *:folder)
    local IFS=$'\\n'
    [[ $cur == "~/"* ]] && cur="$HOME${cur:1}"
    if [[ $kind == file ]]; then COMPREPLY=($(compgen -f -- "$cur"))
    else COMPREPLY=($(compgen -d -- "$cur")); fi
    compopt -o filenames 2>/dev/null ;;
esac"""


def _bash_command(name: str, options: Iterable[Word], arguments: Iterable[Word]) -> Iterator[str]:
    options = tuple(options)

    def flags(wanted: Callable[[Word], bool]) -> str:
        return " ".join(flag for word in options if wanted(word) for flag in word.flags)

    yield f"{name})"
    yield f'    options="{flags(lambda word: True)}"'
    yield f'    single="{flags(lambda w: w.kind is not Kind.NOTHING and not w.many)}"'
    yield f'    many="{flags(lambda w: w.many)}" ;;'


def _bash_values(program: Program) -> Iterator[str]:
    for command in program.commands:
        for word in command.options:
            if word.kind in (Kind.CHOICE, Kind.FILE, Kind.FOLDER):
                cases = " | ".join(f'"{command.name}:{flag}:"*' for flag in word.flags)
                yield f"{cases}) {_bash_kind(word)} ;;"
        for index, word in enumerate(command.arguments):
            if word.kind in (Kind.CHOICE, Kind.FILE, Kind.FOLDER):
                number = "*" if word.many else index
                yield f'"{command.name}::"{number}) {_bash_kind(word)} ;;'


def _bash_kind(word: Word) -> str:
    words = f' words="{" ".join(word.choices)}"' if word.choices else ""
    return f"kind={word.kind.value}{words}"


def zsh_script(program: Program) -> str:
    """A function for a folder of zsh's $fpath."""
    lines = [f"#compdef {program.name}", "", "_alcs_onnx() {", "    local curcontext=$curcontext"]
    lines += ["    local state line", "    typeset -A opt_args", "    _arguments -C \\"]
    lines += [f"        {spec} \\" for word in program.options for spec in _zsh_specs(word)]
    lines += ["        '1: :->command' '*:: :->arguments'", '    case "$state" in']
    lines += ["    command)", "        local -a commands", "        commands=("]
    lines += [f"            {_quoted(_zsh_pair(c))}" for c in program.commands]
    lines += ["        )", "        _describe command commands ;;", "    arguments)"]
    lines += ['        case "$line[1]" in']
    for command in program.commands:
        specs = [s for word in (*command.options, *command.arguments) for s in _zsh_specs(word)]
        lines += [f"        {command.name})", "            _arguments \\"]
        lines += [f"                {spec} \\" for spec in specs[:-1]]
        lines += [f"                {specs[-1]} ;;" if specs else "                ;;"]
    lines += ["        esac ;;", "    esac", "}", ""]
    # Loaded from $fpath the file is the function's body; read by `source` it registers one.
    lines += [f'if [[ "$funcstack[1]" == "_{program.name}" ]]; then _alcs_onnx "$@"']
    lines += [f"else compdef _alcs_onnx {program.name}; fi", ""]
    return "\n".join(lines)


def _zsh_pair(command: Command) -> str:
    return f"{command.name}:{command.help}"


def _zsh_specs(word: Word) -> Iterator[str]:
    """One specification of `_arguments` per flag; one for an argument."""
    label = _zsh_escaped(word.metavar)
    action = {
        Kind.CHOICE: f"({' '.join(word.choices)})",
        Kind.FILE: "_files",
        Kind.FOLDER: "_files -/",
    }.get(word.kind, " ")
    if not word.flags:
        yield _quoted(f"{'*' if word.many else ''}:{label}:{action}")
    for flag in word.flags:
        value = "" if word.kind is Kind.NOTHING else f":{label}:{action}"
        # The values of `--flag a b` go up to the next option.
        several = f":*-*{value}" if word.many else value
        yield _quoted(f"*{flag}[{_zsh_escaped(word.help)}]{several}")


def _zsh_escaped(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def fish_script(program: Program) -> str:
    """A file for fish's folder of completions."""
    start = f"complete -c {program.name}"
    lines = [f"# fish completion of {program.name}", f"{start} -f"]
    for word in program.options:
        lines += _fish_option(f"{start} -n __fish_use_subcommand", word)
    for command in program.commands:
        lines.append(
            f"{start} -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.help)}"
        )
    for command in program.commands:
        seen = f"{start} -n '__fish_seen_subcommand_from {command.name}'"
        for word in command.options:
            lines += _fish_option(seen, word)
        for word in command.arguments:
            lines += [f"{seen}{_fish_values(word)}"] if word.kind is not Kind.TEXT else []
    return "\n".join([*lines, ""])


def _fish_option(start: str, word: Word) -> Iterator[str]:
    flags = "".join(
        f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in word.flags
    )
    values = "" if word.kind is Kind.NOTHING else f" -r{_fish_values(word)}"
    yield f"{start}{flags}{values} -d {_fish_quoted(word.help)}"


def _fish_values(word: Word) -> str:
    return {
        Kind.CHOICE: f" -f -a {_fish_quoted(' '.join(word.choices))}",
        Kind.FILE: " -F",
        Kind.FOLDER: " -f -a '(__fish_complete_directories)'",
    }.get(word.kind, " -f")


def _fish_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"


def _indented(lines: Iterable[str], spaces: int) -> list[str]:
    return [f"{' ' * spaces}{line}" for line in lines]


#: What writes the script of each shell. THE registration of shells.
SCRIPTS: dict[str, Callable[[Program], str]] = {
    "bash": bash_script,
    "zsh": zsh_script,
    "fish": fish_script,
}
