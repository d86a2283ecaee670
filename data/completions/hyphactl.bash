# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# What a word may become is told by hyphactl itself: a word, a tab, and what it means.

_hyphactl () {
  local cur prev words cword line word
  _init_completion -n =: || return
  : "$prev"
  COMPREPLY=()
  while IFS= read -r line; do
    word=${line%%$'\t'*}
    if [[ $word ]]; then
      # Others choose what they are called.
      printf -v word %q "$word"
      COMPREPLY+=("$word")
    elif [[ $line == $'\tFILE' ]]; then
      _filedir
    fi
  done < <("${words[0]}" complete "${words[@]:1:cword}" 2>/dev/null)
  # The beginning of an endpoint goes on.
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]]; then
    compopt -o nospace
  fi
  __ltrim_colon_completions "$cur"
}

complete -F _hyphactl hyphactl
