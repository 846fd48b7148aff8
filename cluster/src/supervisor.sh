# Runs one program for the cluster crate: "$1" is the signal that ends it, the rest is its command.
# The owner holds our stdin: a line is a signal to send, its end (the owner closed it, or died by
# whatever means) ends the program. The first line of our stdout is the program's process id; our
# stderr is its log. We lead a process group, so nothing that it started is left behind.
last=$1
shift
exec 3<&0
# A gateway may hold as many sockets as this machine allows, whatever the login shell's default is.
# (dash, bash and busybox know -S and -H; another sh keeps its default.)
ulimit -S -n "$(ulimit -H -n)"
"$@" </dev/null >&2 3<&- &
child=$!
echo "$child"
exec >&2
{
  while read -r signal <&3; do kill -s "$signal" "$child"; done
  trap '' TERM
  kill -s "$last" "$child"
  # A stopped or stuck program does not get to stay.
  tries=0
  while [ "$tries" -lt 50 ] && kill -0 "$child"; do
    sleep 0.1
    tries=$((tries + 1))
  done
  kill -KILL 0
} 2>/dev/null &
wait "$child"
status=$?
# The program is gone: so is its rest (nginx's workers, for example), and our reader above.
trap '' TERM
kill -TERM 0
exit "$status"
