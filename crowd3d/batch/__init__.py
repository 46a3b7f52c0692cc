"""Many pictures: folders of them, shards of a cluster, the LargeCrowd benchmark."""
