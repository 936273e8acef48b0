#!/bin/sh
# Prints a line every few seconds; stops at once when told to.
trap 'echo "${DYNO:-worker}: stopping"; exit 0' TERM INT
count=0
echo "${DYNO:-worker}: started"
while :; do
  sleep "${WORKER_SECONDS:-5}" &
  wait $!
  count=$((count + 1))
  echo "${DYNO:-worker}: job $count"
done
