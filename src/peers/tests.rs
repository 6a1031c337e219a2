//! Tests of `peers`.

use super::request::address_of;
use super::*;

#[test]
fn addresses_are_plain() {
    let digest = Digest::of(b"");
    for (address, start) in
        [("10.0.0.7:4711", "http://10.0.0.7:4711/"), ("[fd00::1]:4711", "http://[fd00::1]:4711/")]
    {
        let url = address_of(address.parse().unwrap(), "my-app", "have", &digest);
        assert_eq!(url.as_str(), format!("{start}kuzflow/1/my-app/have/{digest}"));
    }
}
