// Completion scripts: what `dozo completion SHELL` prints. They hand over the words and show what `dozo complete` answers; names go through variables
// alone, and are never evaluated. Those for zsh and fish let the shell quote what it inserts; bash gets it quoted.
// Threads: constants.
#pragma once

namespace dozo::tools {

inline constexpr const char* bash_completion = R"(# bash completion for dozo, printed by `dozo completion bash`
_dozo() {
  local candidate files=
  COMPREPLY=()
  while IFS= read -r candidate; do
    case $candidate in
      :files) files=default ;;
      :folders) files=dirnames ;;
      *) COMPREPLY+=("$candidate") ;;
    esac
  done < <(command dozo complete line "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[:/=] ]]; then
    compopt -o nospace
  elif ((${#COMPREPLY[@]} == 0)) && [[ -n $files ]]; then
    compopt -o "$files"
  fi
}
complete -F _dozo dozo
)";

inline constexpr const char* zsh_completion = R"(#compdef dozo
# zsh completion for dozo, printed by `dozo completion zsh`
_dozo() {
  local candidate name files= now=$PREFIX
  local -a words_before described plain open
  [[ -n ${compstate[quote]} ]] || now=${(Q)PREFIX}
  (( CURRENT > 2 )) && words_before=("${(@Q)words[2,CURRENT-1]}")
  while IFS= read -r candidate; do
    name=${candidate%%$'\t'*}
    case $candidate in
      (:files|:folders) files=$candidate ;;
      (*$'\t'*) described+=("${name//:/\\:}:${candidate#*$'\t'}") ;;
      (*[:/=]) open+=("$name") ;;
      (*) plain+=("$name") ;;
    esac
  done < <(command dozo complete words "${words_before[@]}" "$now" 2>/dev/null)
  (( ${#described} )) && _describe -t commands 'dozo' described
  (( ${#open} )) && compadd -S '' -- "${open[@]}"
  (( ${#plain} )) && compadd -- "${plain[@]}"
  [[ -n $files ]] && compset -P '--*='
  case $files in
    (:files) _files ;;
    (:folders) _files -/ ;;
  esac
  (( ${#described} + ${#open} + ${#plain} ))
}
if [[ ${funcstack[1]} == _dozo ]]; then
  _dozo "$@"
else
  compdef _dozo dozo
fi
)";

inline constexpr const char* fish_completion = R"(# fish completion for dozo, printed by `dozo completion fish`
function __dozo_complete
    set -l typed (commandline -ct)
    set -l now (string unescape -- $typed)
    or set now (string replace -r '^[\'"]' '' -- $typed)
    set -l before (commandline -opc)
    for candidate in (command dozo complete words $before[2..-1] "$now" 2>/dev/null)
        switch $candidate
            case :files
                __fish_complete_path "$now"
            case :folders
                __fish_complete_directories "$now"
            case '*'
                echo -- $candidate
        end
    end
end
complete -c dozo -f -a '(__dozo_complete)'
)";

}  // namespace dozo::tools
