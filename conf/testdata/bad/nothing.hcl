node { name = "web1" }
