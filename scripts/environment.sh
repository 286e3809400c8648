# Sourced by the other scripts, after `cd` to the repository: gives a `python` that has what a requirements file lists.
#
#   use_environment requirements.txt
#
# An active virtual environment, or NO_VENV=1, is used as it is. Otherwise .venv is made with $PYTHON (default python3)
# and filled once; it is filled again when the requirements file has changed.

# torchrun passes on what it handles; without USR1 here that signal would end torchrun and leave its processes running.
export PET_SIGNALS_TO_HANDLE=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1

run() {                         # say a command, then run it
    printf '+' >&2
    printf ' %q' "$@" >&2
    printf '\n' >&2
    "$@"
}

fail() {
    printf '%s\n' "$1" >&2
    exit 2
}

start_from() {                  # FLAGS...: sets `start` to the flags that a training begins with, and what RESUME=auto adds or RESUME=FILE puts in their place
    start=("$@")
    case ${RESUME:-} in
        '') ;;
        auto) start+=(--resume auto) ;;
        *) start=(--resume "$RESUME") ;;
    esac
}

best_checkpoint() {             # RUN REMEDY: the newest best checkpoint of a run; fails where there is none
    local files=("$1"/best_checkpoint_ep*.pth)
    [ -e "${files[0]}" ] ||
        fail "$1 holds no best checkpoint: the training was stopped before its first validation; $2"
    ls -t "${files[@]}" | head -n 1
}

launch() {                      # N PROGRAM FLAGS...: ends this script with N processes of a program
    local processes=$1 python
    shift
    if [ "$processes" = 1 ]; then       # without torchrun, which ends a mistake's one line with a report of its own and exit code 1
        python=$(type -P python || printf %s "${PYTHON:-python3}")
        exec "$python" "$@"
    fi
    exec torchrun --standalone --nnodes=1 --nproc-per-node="$processes" "$@"
}

use_environment() {
    local requirements=$1 interpreter=${PYTHON:-python3} stamp
    if [ -n "${NO_VENV:-}" ]; then
        if ! command -v python >/dev/null; then     # no `python` on the path: take the interpreter under that name
            python() { "${PYTHON:-python3}" "$@"; }
        fi
        return
    fi
    if [ -n "${VIRTUAL_ENV:-}" ] && [ "$VIRTUAL_ENV" != "$PWD/.venv" ]; then
        echo "using the active environment $VIRTUAL_ENV" >&2
        return
    fi
    if [ ! -x .venv/bin/python ]; then
        "$interpreter" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
            fail "$interpreter: Python 3.10 or newer is needed; set PYTHON to one, as in PYTHON=python3.12 bash $0"
        run "$interpreter" -m venv .venv ||
            { rm -rf .venv; fail "$interpreter cannot make .venv, see the line above; install its venv module (Debian, Ubuntu: python3-venv), \
or, where nothing can be written or installed, activate an environment of your own or set NO_VENV=1"; }
    fi
    export VIRTUAL_ENV=$PWD/.venv PATH=$PWD/.venv/bin:$PATH
    stamp=.venv/.filled-from-$requirements
    if ! cat requirements*.txt | cmp -s - "$stamp"; then
        run python -m pip install --disable-pip-version-check -r "$requirements" ||
            fail "the packages of $requirements could not be installed, see the lines of pip above; without a network set NO_VENV=1 to use what is installed, \
a damaged .venv is made anew once it is removed"
        cat requirements*.txt > "$stamp"
    fi
}
