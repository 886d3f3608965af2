"""The scripts by which shells complete what is typed, and how they are switched on."""

import os
import shlex
from pathlib import Path
from typing import Final

from cli.errors import WrongUsage

_BASH: Final = r"""# Completion of threadkeep in bash.
_threadkeep_completion() {
    local IFS=$'\n' line value
    local -a values=() shown=()
    local -i width=0 position
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            $'\tfile') compopt -o default 2>/dev/null; return ;;
            $'\tdir') compopt -o dirnames 2>/dev/null; return ;;
        esac
        printf -v value '%q' "${line%%$'\t'*}"
        values+=("$value")
        shown+=("${line#*$'\t'}")
        (( ${#value} > width )) && width=${#value}
    done < <(_THREADKEEP_COMPLETE=1 "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    # What each value is can be shown while there are several: only what they share is inserted.
    for position in "${!values[@]}"; do
        value=${values[position]}
        if (( ${#values[@]} > 1 && COMP_TYPE != 37 && COMP_TYPE != 42 )) &&
            [[ -n ${shown[position]} ]]; then
            printf -v value "%-${width}s  %s" "$value" "${shown[position]}"
            (( COLUMNS > 20 )) && value=${value:0:COLUMNS-2}
        fi
        COMPREPLY+=("$value")
    done
}
complete -o nosort -F _threadkeep_completion threadkeep 2>/dev/null ||
    complete -F _threadkeep_completion threadkeep
"""
_ZSH: Final = r"""#compdef threadkeep
# Completion of threadkeep in zsh.
_threadkeep_completion() {
    local line
    local -a found values shown
    found=("${(@f)$(
        _THREADKEEP_COMPLETE=1 "${(Q)words[1]}" "${(@Q)words[2,CURRENT]}" 2>/dev/null
    )}")
    for line in "${found[@]}"; do
        case $line in
            $'\tfile') _files; return ;;
            $'\tdir') _files -/; return ;;
            ?*$'\t') values+=("${line%%$'\t'*}"); shown+=("${line%%$'\t'*}") ;;
            ?*) values+=("${line%%$'\t'*}"); shown+=("${line/$'\t'/  }") ;;
        esac
    done
    (( $#values )) && compadd -V threadkeep -l -d shown -- "${values[@]}"
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _threadkeep_completion threadkeep
"""
_FISH: Final = r"""# Completion of threadkeep in fish.
function __threadkeep_completion
    set -l words (commandline -opc) (commandline -ct)
    for line in (env _THREADKEEP_COMPLETE=1 $words[1] $words[2..-1] 2>/dev/null)
        switch $line
            case \tfile
                __fish_complete_path (commandline -ct)
            case \tdir
                __fish_complete_directories (commandline -ct) ''
            case '*'
                printf '%s\n' $line
        end
    end
end
complete --command threadkeep --no-files --keep-order --arguments '(__threadkeep_completion)'
"""
SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def current_shell() -> str:
    """The shell that runs this, or else the user's.

    Raises:
        WrongUsage: it is none that is known.
    """
    import shellingham  # type: ignore[import-untyped]

    try:
        name = shellingham.detect_shell()[0]
    except (shellingham.ShellDetectionFailure, OSError):
        name = ""
    for found in (name, os.path.basename(os.environ.get("SHELL", ""))):
        if found in SCRIPTS:
            return str(found)
    raise WrongUsage(
        f"there is no completion for {name or 'an unknown shell'}",
        f"run this in {', '.join(SCRIPTS)}",
    )


def install(shell: str) -> tuple[Path, Path | None]:
    """Write the script of a shell, and have the shell read it. Returns where it is, and the file of
    the user's that reads it, if it needs one.

    Raises:
        OSError: a file cannot be written.
    """
    home = Path.home()
    if shell == "fish":
        folder = _folder("XDG_CONFIG_HOME", home / ".config") / "fish" / "completions"
        path = folder / "threadkeep.fish"
    else:
        folder = _folder("XDG_DATA_HOME", home / ".local" / "share") / "threadkeep"
        path = folder / f"completion.{shell}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPTS[shell], "utf-8")
    if shell == "fish":
        return path, None
    settings = home / ".bashrc" if shell == "bash" else _folder("ZDOTDIR", home) / ".zshrc"
    quoted = shlex.quote(str(path))
    line = f"[ ! -f {quoted} ] || . {quoted}"
    before = settings.read_bytes() if settings.exists() else b""
    if line.encode() not in before:
        with settings.open("ab") as file:
            gap = b"" if before.endswith(b"\n") or not before else b"\n"
            file.write(gap + f"{line}  # completion of threadkeep\n".encode())
    return path, settings


def _folder(variable: str, usual: Path) -> Path:
    named = os.environ.get(variable, "")
    return Path(named) if os.path.isabs(named) else usual
