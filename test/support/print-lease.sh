#!/bin/sh
# What udhcpc calls with the lease in its environment.
case "$1" in
  bound | renew) echo "lease $ip/$mask router $router dns $dns mtu $mtu" ;;
esac
