//! Who is speaking: the attributes that stand on every signal of this process.

use crate::semconv;

/// The attributes of the service, the process and where it runs; the same on every signal.
///
/// On `/metrics` they are the labels of `target_info`.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Sorted by name, each name once.
    attributes: Vec<(String, String)>,
}

impl Resource {
    /// What can be told without any setting: process, host, container, and this library.
    pub(crate) fn detected() -> Self {
        let mut resource = Self {
            attributes: Vec::new(),
        };
        resource.set(
            semconv::SERVICE_INSTANCE_ID,
            uuid::Uuid::new_v4().to_string(),
        );
        resource.set(semconv::PROCESS_PID, std::process::id().to_string());
        resource.set(semconv::TELEMETRY_SDK_NAME, env!("CARGO_PKG_NAME"));
        resource.set(semconv::TELEMETRY_SDK_VERSION, env!("CARGO_PKG_VERSION"));
        resource.set(semconv::TELEMETRY_SDK_LANGUAGE, "rust");
        if let Ok(host) = gethostname::gethostname().into_string() {
            resource.set(semconv::HOST_NAME, host);
        }
        // Both are absent outside a container, and on systems without /proc.
        let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if let Some(id) = container_id(&cgroup, &mounts) {
            resource.set(semconv::CONTAINER_ID, id);
        }
        if let Some(uid) = pod_uid(&mounts) {
            resource.set(semconv::K8S_POD_UID, uid);
        }
        resource
    }

    /// Sets an attribute, over an earlier value of the same name.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        match self
            .attributes
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
        {
            Ok(at) => self.attributes[at].1 = value.into(),
            Err(at) => self.attributes.insert(at, (name.to_owned(), value.into())),
        }
    }

    /// The value of one attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// All attributes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// cgroup v1 names the container in the cgroup's path; under v2 the path is private, but the
/// runtime mounts files from a folder that carries the id.
fn container_id(cgroup: &str, mounts: &str) -> Option<String> {
    let in_cgroup = cgroup.lines().filter_map(|line| line.rsplit('/').next());
    let in_mounts = mounts
        .lines()
        .filter(|line| line.contains("/containers/") || line.contains("/sandboxes/"))
        .flat_map(|line| line.split(['/', ' ']));
    in_cgroup.chain(in_mounts).find_map(|part| {
        let id = part.trim_end_matches(".scope");
        let id = id.rsplit('-').next().unwrap_or(id);
        (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
    })
}

/// The kubelet mounts files of a pod from `…/pods/<uid>/…`.
fn pod_uid(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let uid = line.split_once("/pods/")?.1.split('/').next()?;
        uuid::Uuid::parse_str(uid).ok().map(|_| uid.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1c9d0a5b7e4c2d8f6a1b3c5d7e9f0a1b2c3d4e5f60718293a4b5c6d7e8f901";

    #[test]
    fn a_container_is_found_in_either_version_of_cgroups() {
        let v1 = format!("12:cpu:/docker/{ID}\n");
        let systemd = format!("0::/system.slice/docker-{ID}.scope\n");
        let v2 = format!("1 2 0:3 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw\n");
        for (cgroup, mounts) in [(v1.as_str(), ""), (&systemd, ""), ("0::/\n", &v2)] {
            assert_eq!(container_id(cgroup, mounts).as_deref(), Some(ID));
        }
        assert_eq!(container_id("0::/user.slice\n", ""), None);
    }

    #[test]
    fn a_pod_is_found_by_the_folder_its_hosts_file_is_mounted_from() {
        let uid = "7a6c2b1e-90fd-4e0f-8d8c-1f0a2b3c4d5e";
        let line = format!("9 1 8:1 /var/lib/kubelet/pods/{uid}/etc-hosts /etc/hosts rw\n");
        assert_eq!(pod_uid(&line).as_deref(), Some(uid));
        assert_eq!(pod_uid("9 1 8:1 /pods/not-a-uid/x /x rw\n"), None);
    }

    #[test]
    fn a_later_value_replaces_an_earlier_one() {
        let mut resource = Resource::detected();
        resource.set("service.name", "one");
        resource.set("service.name", "two");
        assert_eq!(resource.get("service.name"), Some("two"));
        let names: Vec<_> = resource.iter().map(|(name, _)| name).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
