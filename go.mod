module github.com/backbeat-ha/backbeat

go 1.26
