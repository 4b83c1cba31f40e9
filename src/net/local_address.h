// Addresses at which a request that others have asked for would reach what only this machine can: its own services, and
// the link-local ones at which clouds give out credentials.
#pragma once

struct sockaddr;

namespace gantry::net {

/// Loopback, unspecified, link-local, multicast and reserved addresses, those of clouds' metadata services, and all
/// that this machine's interfaces have; IPv4 inside IPv6 counts as what it is. Anything but IPv4 and IPv6 is local.
bool is_local_address(const sockaddr& address);

}  // namespace gantry::net
