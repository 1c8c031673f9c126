//! Who had something done, for the record. Alone here knows the library that asks the system's databases (nsswitch.conf(5)).

use rustix::process::getuid;

/// Who started this program: the user, and whom that user logged in as where that is another, as in `amy as root`.
///
/// The kernel keeps the user of a login across `su` and `sudo` (`/proc/self/loginuid`, proc(5)), and nobody but root can set
/// it; where nobody logged in by PAM there is none, and what sudo says of itself is taken, which its caller could make up.
pub fn invoked_by() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|text| text.trim().parse().ok()).filter(|uid| *uid != u32::MAX);
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    named(getuid().as_raw(), login, sudo, name_of)
}

fn named(uid: u32, login: Option<u32>, sudo: Option<String>, name_of: impl Fn(u32) -> String) -> String {
    let user = name_of(uid);
    let person = login.map(&name_of).or(sudo).unwrap_or_else(|| user.clone());
    if person == user { user } else { format!("{person} as {user}") }
}

fn name_of(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_counts_before_what_sudo_says() {
        let name = |uid: u32| ["root", "amy", "icechatd"][uid as usize].to_owned();
        let by = |uid, login, sudo: Option<&str>| named(uid, login, sudo.map(str::to_owned), name);
        assert_eq!(by(0, None, None), "root");
        assert_eq!(by(1, Some(1), None), "amy");
        assert_eq!(by(2, Some(1), Some("boss")), "amy as icechatd");
        assert_eq!(by(0, None, Some("amy")), "amy as root");
        assert_eq!(name_of(0), "root");
        assert_eq!(name_of(u32::MAX - 7), format!("uid {}", u32::MAX - 7));
    }
}
