#!/bin/sh
# What each DHCP client calls with the lease in its environment: udhcpc and dhclient leave the address to it, dhcpcd sets it
# by itself. Appends one event, the environment as it is, to the file that EVENTS names.
event=${reason:-$1}
case "$event" in
  bound | renew)
    ip address replace "$ip/$mask" dev "$interface"
    for hop in $router; do ip route replace default via "$hop"; done
    ;;
  BOUND | RENEW | REBIND | REBOOT)
    if [ -z "$if_up" ]; then
      ip address replace "$new_ip_address/24" dev "$interface"
      for hop in $new_routers; do ip route replace default via "$hop"; done
    fi
    ;;
  deconfig) ip address flush dev "$interface" ;;
esac
{ echo "event=$event"; env; echo end=; } >> "$EVENTS"
