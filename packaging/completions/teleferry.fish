# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_teleferry_global_optspecs
    string join \n h/help V/version
end

function __fish_teleferry_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_teleferry_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_teleferry_using_subcommand
    set -l cmd (__fish_teleferry_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c teleferry -n "__fish_teleferry_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c teleferry -n "__fish_teleferry_needs_command" -s V -l version -d 'Print version'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "run" -d 'Runs the proxy in the foreground until it is told to stop'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "demo" -d 'Shows that everything works: Telegram in miniature, this proxy, and clients through every protocol'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "check" -d 'Checks the settings and prints what they mean, with secrets shortened'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "doctor" -d 'Looks at everything that the server depends on, and says what to mend'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "link" -d 'Prints the links that clients connect with'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "secret" -d 'Makes a random secret, in all its written forms'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "ping" -d 'Asks every data centre through a proxy, and says where it fails'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "ctl" -d 'Asks the running process how it is, or tells it what to do'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "certs" -d 'Makes the certificates of fronts and backs, and takes them back'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "import" -d 'Reads another proxy\'s configuration, prints ours, and proves that the links stay the same'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "completions" -d 'Prints a script that completes this command line in a shell'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "man" -d 'Prints the manual page'
complete -c teleferry -n "__fish_teleferry_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l config -d 'The configuration file; without one, the other flags and the state directory decide' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l listen -d 'An address to listen on, such as `[::]:443`; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l secret -d 'The secret, 32 hex digits. Other users of this machine can see it: a file is safer' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l domain -d 'The cover domain: the site that fake-TLS clients seem to visit' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l ad-tag -d 'The ad tag that Telegram\'s @MTProxybot gave out, 32 hex digits' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l protocol -d 'A kind of client to serve: tls, secure or classic; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l mode -d 'How clients are taken to Telegram: auto, middle or direct' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -l state-dir -d 'Where state is kept from one start to the next' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand run" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand demo" -l split -d 'Shows a proxy in two halves: a front that clients come to, and a back that goes to Telegram'
complete -c teleferry -n "__fish_teleferry_using_subcommand demo" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l config -d 'The configuration file; without one, the other flags and the state directory decide' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l listen -d 'An address to listen on, such as `[::]:443`; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l secret -d 'The secret, 32 hex digits. Other users of this machine can see it: a file is safer' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l domain -d 'The cover domain: the site that fake-TLS clients seem to visit' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l ad-tag -d 'The ad tag that Telegram\'s @MTProxybot gave out, 32 hex digits' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l protocol -d 'A kind of client to serve: tls, secure or classic; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l mode -d 'How clients are taken to Telegram: auto, middle or direct' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l state-dir -d 'Where state is kept from one start to the next' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -l explain -d 'Tells every key of the configuration with its type, its default and its meaning, and checks nothing'
complete -c teleferry -n "__fish_teleferry_using_subcommand check" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l config -d 'The configuration file; without one, the other flags and the state directory decide' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l listen -d 'An address to listen on, such as `[::]:443`; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l secret -d 'The secret, 32 hex digits. Other users of this machine can see it: a file is safer' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l domain -d 'The cover domain: the site that fake-TLS clients seem to visit' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l ad-tag -d 'The ad tag that Telegram\'s @MTProxybot gave out, 32 hex digits' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l protocol -d 'A kind of client to serve: tls, secure or classic; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l mode -d 'How clients are taken to Telegram: auto, middle or direct' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l state-dir -d 'Where state is kept from one start to the next' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -l json -d 'Prints the findings as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l config -d 'The configuration file; without one, the other flags and the state directory decide' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l listen -d 'An address to listen on, such as `[::]:443`; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l secret -d 'The secret, 32 hex digits. Other users of this machine can see it: a file is safer' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l domain -d 'The cover domain: the site that fake-TLS clients seem to visit' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l ad-tag -d 'The ad tag that Telegram\'s @MTProxybot gave out, 32 hex digits' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l protocol -d 'A kind of client to serve: tls, secure or classic; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l mode -d 'How clients are taken to Telegram: auto, middle or direct' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l state-dir -d 'Where state is kept from one start to the next' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l listener -d 'Only the links of this listener' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l sni -d 'Only the link of this host name, with `sni_secrets`; without it, that of the listener\'s domain' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l qr -d 'Also shows each link as a QR code'
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -l json -d 'Prints JSON: an object with the list `links`'
complete -c teleferry -n "__fish_teleferry_using_subcommand link" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand secret" -l domain -d 'The cover domain for the fake-TLS form; without one that form is left out' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand secret" -l bare -d 'Prints the 32 hex digits alone, as the configuration and `secret_file` take them'
complete -c teleferry -n "__fish_teleferry_using_subcommand secret" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ping" -l dc -d 'Data centres: ids and ranges, separated by commas; below zero for media' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand ping" -l protocol -d 'Protocols, separated by commas [default: the link\'s own]' -r -f -a "classic\t'Plain secret, intermediate framing'
secure\t'dd secret, padded framing'
tls\t'ee secret, padded framing inside fake TLS'"
complete -c teleferry -n "__fish_teleferry_using_subcommand ping" -l repeat -d 'Exchanges with each data centre through each protocol' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand ping" -l timeout -d 'How long each exchange may take, from connecting to the answer' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand ping" -l json -d 'Print one JSON object instead of tables'
complete -c teleferry -n "__fish_teleferry_using_subcommand ping" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "status" -d 'Shows how it is'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "reload" -d 'Has it read its settings again'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "drain" -d 'Has it accept nothing more, let its connections end for the configured time, and leave'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "upgrade" -d 'Has the program that stands in its place now started, and everything handed over to it: nobody is refused, and connections may end by themselves for the configured time'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "log" -d 'Shows which log lines are told, or tells others until the next reload'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "dc" -d 'Shows the data centres with their links'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "table" -d 'Looks into the tables of the rules, and changes them'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and not __fish_seen_subcommand_from status reload drain upgrade log dc table help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from status" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from status" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from status" -l watch -d 'Shows it again every two seconds until it is interrupted'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from status" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from reload" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from reload" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from reload" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from drain" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from drain" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from drain" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from drain" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from upgrade" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from upgrade" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from upgrade" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from upgrade" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from log" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from log" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from log" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from log" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from dc" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from dc" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from dc" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from dc" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -l socket -d 'The control socket; without it, the one of the configuration file or of the default state directory' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -l config -d 'The configuration file of the running process' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -l json -d 'Prints what the process answers, as JSON'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -f -a "list" -d 'Shows every table and its size, or what is in one'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -f -a "add" -d 'Adds a host name, an address or a network, for later starts too'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -f -a "remove" -d 'Takes one out, for later starts too'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -f -a "contains" -d 'Says whether a host name is in a table, or an address lies in one of its networks'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from table" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "status" -d 'Shows how it is'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "reload" -d 'Has it read its settings again'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "drain" -d 'Has it accept nothing more, let its connections end for the configured time, and leave'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "upgrade" -d 'Has the program that stands in its place now started, and everything handed over to it: nobody is refused, and connections may end by themselves for the configured time'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "log" -d 'Shows which log lines are told, or tells others until the next reload'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "dc" -d 'Shows the data centres with their links'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "table" -d 'Looks into the tables of the rules, and changes them'
complete -c teleferry -n "__fish_teleferry_using_subcommand ctl; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -f -a "init" -d 'Makes an authority and the certificate of the first back'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -f -a "issue" -d 'Makes the certificate of a front, or with --back of a further back'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -f -a "renew" -d 'Makes a certificate anew that expires soon, for the same key'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -f -a "revoke" -d 'Takes back every certificate of a name: writes the list of those that are refused'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -f -a "list" -d 'Lists every certificate with its name, its side and when it expires'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and not __fish_seen_subcommand_from init issue renew revoke list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from init" -l name -d 'A host name or an address by which fronts know the back; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from init" -l dir -d 'The directory of the authority: to be kept in a safe place, and on no front' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from init" -l force -d 'Replaces an authority that is there: what it signed is worth nothing afterwards'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from issue" -l dir -d 'The directory of the authority: to be kept in a safe place, and on no front' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from issue" -l back -d 'It is for a back'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from issue" -l force -d 'Replaces a certificate and a key that are there'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from issue" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from renew" -l dir -d 'The directory of the authority: to be kept in a safe place, and on no front' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from revoke" -l dir -d 'The directory of the authority: to be kept in a safe place, and on no front' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from list" -l dir -d 'The directory of the authority: to be kept in a safe place, and on no front' -r -F
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "init" -d 'Makes an authority and the certificate of the first back'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "issue" -d 'Makes the certificate of a front, or with --back of a further back'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "renew" -d 'Makes a certificate anew that expires soon, for the same key'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Takes back every certificate of a name: writes the list of those that are refused'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "list" -d 'Lists every certificate with its name, its side and when it expires'
complete -c teleferry -n "__fish_teleferry_using_subcommand certs; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand import" -l sni -d 'A host name that stands in old `ee` links, to have those compared too; can be given several times' -r
complete -c teleferry -n "__fish_teleferry_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c teleferry -n "__fish_teleferry_using_subcommand completions" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand man" -s h -l help -d 'Print help'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "run" -d 'Runs the proxy in the foreground until it is told to stop'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "demo" -d 'Shows that everything works: Telegram in miniature, this proxy, and clients through every protocol'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "check" -d 'Checks the settings and prints what they mean, with secrets shortened'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "doctor" -d 'Looks at everything that the server depends on, and says what to mend'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "link" -d 'Prints the links that clients connect with'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "secret" -d 'Makes a random secret, in all its written forms'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "ping" -d 'Asks every data centre through a proxy, and says where it fails'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "ctl" -d 'Asks the running process how it is, or tells it what to do'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "certs" -d 'Makes the certificates of fronts and backs, and takes them back'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "import" -d 'Reads another proxy\'s configuration, prints ours, and proves that the links stay the same'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "completions" -d 'Prints a script that completes this command line in a shell'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "man" -d 'Prints the manual page'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor link secret ping ctl certs import completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "status" -d 'Shows how it is'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "reload" -d 'Has it read its settings again'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "drain" -d 'Has it accept nothing more, let its connections end for the configured time, and leave'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "upgrade" -d 'Has the program that stands in its place now started, and everything handed over to it: nobody is refused, and connections may end by themselves for the configured time'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "log" -d 'Shows which log lines are told, or tells others until the next reload'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "dc" -d 'Shows the data centres with their links'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from ctl" -f -a "table" -d 'Looks into the tables of the rules, and changes them'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "init" -d 'Makes an authority and the certificate of the first back'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "issue" -d 'Makes the certificate of a front, or with --back of a further back'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "renew" -d 'Makes a certificate anew that expires soon, for the same key'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "revoke" -d 'Takes back every certificate of a name: writes the list of those that are refused'
complete -c teleferry -n "__fish_teleferry_using_subcommand help; and __fish_seen_subcommand_from certs" -f -a "list" -d 'Lists every certificate with its name, its side and when it expires'
