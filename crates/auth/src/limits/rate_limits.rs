//! Rate limits and reverse proxies from Kazoo's configuration. `system_config/token_buckets` holds the size
//! and the refills of buckets. `system_config/crossbar` holds `token_costs`, `user_auth_tokens`,
//! `api_auth_tokens`, `reverse_proxies` and `check_reverse_proxies`. A missing or nonsensical value means
//! Kazoo's default.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use kazoo::term::is_false;
use kazoo::{AccountId, Config};
use serde_json::{Map, Value};

use super::bucket::Capacity;

/// Crossbar's section of `token_buckets`.
const APP: &str = "crossbar";

/// The cost of a login if `token_costs` lists other costs only.
const LOGIN_COST: u32 = 35;

/// The facts about a request that decide its cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Charged<'a> {
    /// The account in the path, if it exists.
    pub account_id: Option<&'a AccountId>,
    /// The resource, such as `groups`.
    pub endpoint: &'a str,
    /// The verb, in upper case.
    pub verb: &'a str,
}

/// The limits, which are the same for all clients.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimits {
    pub(crate) capacity: Capacity,
    costs: Costs,
    user_auth: u32,
    api_auth: u32,
    proxies: Proxies,
}

/// The costs of requests.
#[derive(Clone, Debug, PartialEq)]
enum Costs {
    /// Every request costs the same.
    Flat(u32),
    /// By account, endpoint and verb.
    Listed(Map<String, Value>),
}

/// The peers whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, PartialEq)]
enum Proxies {
    Everybody,
    These(Vec<IpNet>),
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::read(&Config::default(), &Config::default(), None)
    }
}

impl RateLimits {
    /// Reads both documents. `proxies` comes from this server's settings and overrides the documents.
    pub(crate) fn read(token_buckets: &Config, crossbar: &Config, proxies: Option<&[IpNet]>) -> Self {
        let number = |path: &[&str]| token_buckets.get(path).and_then(number);
        let size = number(&[APP, "max_bucket_tokens"]).or_else(|| number(&["default", "max_bucket_tokens"]));
        let refill = number(&[APP, "tokens_fill_rate"]).or_else(|| number(&["tokens_fill_rate"]));
        let interval = [&[APP, "tokens_fill_time"][..], &["tokens_fill_time"]];
        let interval = interval.into_iter().find_map(|path| token_buckets.text(path));
        Self {
            capacity: Capacity {
                size: size.unwrap_or(Capacity::DEFAULT.size),
                refill: refill.unwrap_or(Capacity::DEFAULT.refill),
                interval: Duration::from_secs(match interval {
                    Some("minute") => 60,
                    Some("hour") => 3_600,
                    Some("day") => 86_400,
                    _ => 1,
                }),
            },
            costs: match crossbar.get(&["token_costs"]) {
                Some(Value::Object(costs)) => Costs::Listed(costs.clone()),
                flat => Costs::Flat(flat.and_then(self::number).unwrap_or(1)),
            },
            user_auth: crossbar.get(&["user_auth_tokens"]).and_then(self::number).unwrap_or(LOGIN_COST),
            api_auth: crossbar.get(&["api_auth_tokens"]).and_then(self::number).unwrap_or(LOGIN_COST),
            proxies: Proxies::read(crossbar, proxies),
        }
    }

    /// The cost of a request, in tokens.
    #[must_use]
    pub fn cost(&self, charged: Charged<'_>) -> u32 {
        self.cost_or(charged, 1)
    }

    /// The cost of a login, in tokens. It is added to the cost of a request without a token.
    #[must_use]
    pub fn login_cost(&self, charged: Charged<'_>) -> u32 {
        let default = if charged.endpoint == "api_auth" { self.api_auth } else { self.user_auth };
        self.cost_or(charged, default)
    }

    fn cost_or(&self, charged: Charged<'_>, default: u32) -> u32 {
        let costs = match &self.costs {
            Costs::Flat(cost) => return *cost,
            Costs::Listed(costs) => costs,
        };
        let Charged { account_id, endpoint, verb } = charged;
        let at = |costs: Option<&Value>, path: &[&str]| {
            path.iter().try_fold(costs?, |here, key| here.get(key)).and_then(number)
        };
        let of_account = account_id.and_then(|id| {
            let own = costs.get(id.as_str());
            at(own, &[endpoint, verb]).or_else(|| at(own, &[endpoint])).or_else(|| at(own, &[]))
        });
        let of_all = costs.get(endpoint);
        of_account.or_else(|| at(of_all, &[verb])).or_else(|| at(of_all, &[])).unwrap_or(default)
    }

    /// The client's address: the peer's, or the one that a believed proxy names. `forwarded_for` holds the
    /// lines of `X-Forwarded-For`. Each proxy appends the address of its own peer. The last address that is
    /// not a proxy's is therefore the client. A client can invent everything before it.
    #[must_use]
    pub fn address(&self, peer: IpAddr, forwarded_for: &[impl AsRef<str>]) -> IpAddr {
        let hops = forwarded_for.iter().rev().flat_map(|list| list.as_ref().rsplit(','));
        let mut client = peer.to_canonical();
        for hop in hops {
            let Some(hop) = address(hop.trim()) else { break };
            if !self.proxies.believe(client) {
                break;
            }
            client = hop;
        }
        client
    }

    /// The address that a client's failures are counted under: [`RateLimits::address`], or for IPv6 its /64
    /// network, since a client usually owns all addresses in it.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &[impl AsRef<str>]) -> IpAddr {
        match self.address(peer, forwarded_for) {
            IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
            client => client,
        }
    }
}

impl Proxies {
    fn read(crossbar: &Config, given: Option<&[IpNet]>) -> Self {
        if let Some(given) = given {
            return Self::These(given.to_vec());
        }
        if crossbar.get(&["check_reverse_proxies"]).is_some_and(is_false) {
            return Self::Everybody;
        }
        let named = crossbar.get(&["reverse_proxies"]).and_then(Value::as_array);
        Self::These(match named {
            Some(named) => named.iter().filter_map(|proxy| network(proxy.as_str()?)).collect(),
            None => vec![IpNet::from(IpAddr::from([127, 0, 0, 1]))],
        })
    }

    fn believe(&self, address: IpAddr) -> bool {
        match self {
            Self::Everybody => true,
            Self::These(networks) => networks.iter().any(|network| network.contains(&address)),
        }
    }
}

/// Reads an address, or a network with a prefix length (`10.0.0.0/8`).
#[must_use]
pub fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

/// Reads an address with or without a port. Proxies write both.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = text.parse::<IpAddr>().ok();
    bare.or_else(with_port).map(|address| address.to_canonical())
}

/// A number of tokens, written as a number or as text.
fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "rate_limits_tests.rs"]
mod tests;
