//! The service unit, as systemd sees it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Finding;

const SYSTEMD: &str = "systemd";
const NAME: &str = "teleferry.service";

/// What systemd says of the unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unit {
    properties: BTreeMap<String, String>,
}

impl Unit {
    /// Asks systemd; `None` where it does not run, or knows no unit that runs with the settings of this file.
    pub(super) async fn find(file: Option<&Path>) -> Option<Self> {
        if !Path::new("/run/systemd/system").exists() {
            return None;
        }
        let unit = tokio::task::spawn_blocking(ask).await.ok().flatten()?;
        unit.runs_with(file).then_some(unit)
    }

    /// Whether these are its settings, as far as can be told.
    fn runs_with(&self, file: Option<&Path>) -> bool {
        let command = self.properties.get("ExecStart").map_or("", String::as_str);
        match file {
            None => !command.contains("--config"),
            Some(file) => {
                file.starts_with("/etc/teleferry") || command.contains(&format!("{} ", file.display()))
            }
        }
    }

    /// Whether it is to run without being asked for.
    pub(super) fn should_run(&self) -> bool {
        self.is("UnitFileState", "enabled")
    }

    /// The descriptors that it may open.
    pub(super) fn descriptors(&self) -> Option<u64> {
        self.properties.get("LimitNOFILE")?.parse().ok()
    }

    /// Whether it may open ports below 1024.
    pub(super) fn opens_any_port(&self) -> bool {
        let may =
            |key: &str| self.properties.get(key).is_some_and(|set| set.contains("cap_net_bind_service"));
        may("AmbientCapabilities") || self.is("User", "") || self.is("User", "root")
    }

    /// The user that it runs as, when that is not root.
    pub(super) fn user(&self) -> Option<&str> {
        let user = self.properties.get("User").map(String::as_str);
        user.filter(|user| !["", "root"].contains(user))
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.properties.get(key).is_some_and(|is| is == value)
    }

    fn parse(text: &str) -> Option<Self> {
        let properties = text.lines().filter_map(|line| line.split_once('='));
        let unit = Self { properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).collect() };
        unit.is("LoadState", "loaded").then_some(unit)
    }
}

fn ask() -> Option<Unit> {
    let wanted = "LoadState,ExecStart,ActiveState,SubState,Result,NRestarts,UnitFileState,LimitNOFILE,AmbientCapabilities,User";
    let asked = Command::new("systemctl")
        .args(["show", NAME, "--property", wanted])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Unit::parse(&String::from_utf8_lossy(&asked.stdout))
}

/// Whether it is as a service should be. Nothing where there is no unit.
pub(super) fn examine(unit: Option<&Unit>) -> Vec<Finding> {
    let Some(unit) = unit else { return Vec::new() };
    let property = |key: &str| unit.properties.get(key).map_or("", String::as_str);
    let state = format!("{NAME} is {} ({})", property("ActiveState"), property("SubState"));
    let restarts: u64 = property("NRestarts").parse().unwrap_or(0);
    let mut findings = Vec::new();
    if unit.is("ActiveState", "failed") {
        findings.push(Finding::wrong(
            SYSTEMD,
            format!("{state}, with the result {}", property("Result")),
            "nobody is served",
            "read why: journalctl -u teleferry -n 50; then systemctl restart teleferry",
        ));
    } else if restarts > 0 {
        findings.push(Finding::advice(
            SYSTEMD,
            format!("{state}, and was restarted {restarts} times after it ended by itself"),
            "each time all clients had to connect again",
            "read why: journalctl -u teleferry | grep -i -E 'error|panic|killed'",
        ));
    } else {
        findings.push(Finding::fine(SYSTEMD, state));
    }
    if unit.is("UnitFileState", "disabled") {
        findings.push(Finding::advice(
            SYSTEMD,
            format!("{NAME} is not enabled"),
            "after a restart of the machine nobody is served",
            "systemctl enable teleferry",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn unit(text: &str) -> Option<Unit> {
        Unit::parse(text)
    }

    #[test]
    fn a_unit_that_is_not_there_is_none() {
        assert_eq!(unit("LoadState=not-found\nActiveState=inactive\n"), None);
        assert_eq!(unit(""), None);
        assert!(examine(None).is_empty());
    }

    #[test]
    fn what_systemd_says_is_judged() {
        for (text, expected) in [
            ("ActiveState=active\nSubState=running\nNRestarts=0\nUnitFileState=enabled", vec![Level::Ok]),
            ("ActiveState=active\nNRestarts=3\nUnitFileState=enabled", vec![Level::Advice]),
            (
                "ActiveState=failed\nResult=exit-code\nUnitFileState=disabled",
                vec![Level::Mend, Level::Advice],
            ),
        ] {
            let unit = unit(&format!("LoadState=loaded\n{text}\n")).expect("loaded");
            let levels: Vec<_> = examine(Some(&unit)).iter().map(|finding| finding.level).collect();
            assert_eq!(levels, expected, "{text}");
        }
    }

    #[test]
    fn a_unit_with_other_settings_is_another_one() {
        let unit = |command: &str| unit(&format!("LoadState=loaded\nExecStart={command}\n")).expect("loaded");
        let ours = unit("{ path=/x ; argv[]=/x run --config /srv/a.toml ; ignore_errors=no }");
        assert!(ours.runs_with(Some(Path::new("/srv/a.toml"))));
        assert!(!ours.runs_with(Some(Path::new("/srv/a"))) && !ours.runs_with(None));
        assert!(unit("{ path=/x ; argv[]=/x run ; }").runs_with(Some(Path::new("/etc/teleferry/t.toml"))));
    }

    #[test]
    fn its_limits_and_rights_are_read() {
        let unit = unit("LoadState=loaded\nLimitNOFILE=262144\nUser=teleferry\nAmbientCapabilities=cap_net_bind_service\nUnitFileState=enabled")
            .expect("loaded");
        assert_eq!(
            (unit.descriptors(), unit.opens_any_port(), unit.should_run()),
            (Some(262_144), true, true)
        );
        let plain = Unit::parse("LoadState=loaded\nLimitNOFILE=infinity\nUser=teleferry").expect("loaded");
        assert_eq!((plain.descriptors(), plain.opens_any_port(), plain.should_run()), (None, false, false));
    }
}
