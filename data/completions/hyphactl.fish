# SPDX-License-Identifier: LGPL-2.1-or-later
# What a word may become is told by hyphactl itself: a word, a tab, and what it means.

function __hyphactl_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    for line in (command $words[1] complete $words[2..] "$token" 2>/dev/null)
        if string match -q \tFILE -- $line
            __fish_complete_path "$token"
        else
            echo -- $line
        end
    end
end

complete -c hyphactl -f -a '(__hyphactl_complete)'
